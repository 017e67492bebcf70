"""A model, a formula and some files: fit over sites without writing a study first.

This file imports nothing, so that `hetao fit`, whose parties are processes of their
own, loads no site and no hub.
"""
