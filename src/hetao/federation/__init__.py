"""Across sites: site, hub, coordinator, transports."""
