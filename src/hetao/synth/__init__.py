"""A made-up population: no real person, known effects, each hospital's own form."""
