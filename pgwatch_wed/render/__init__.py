"""Renderers: pure functions from a Report to a document.

Each format is a module of its own, named in :mod:`pgwatch_wed.render.formats`;
:mod:`pgwatch_wed.render.rendering` imports it when it is requested.
"""
