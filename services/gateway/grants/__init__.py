"""Roles that are held beside one's own."""
