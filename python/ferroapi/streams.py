"""Streams that begin with their first item. See docs/first-item.md."""

from ferroapi._beyond.first_item import with_first_item as with_first_item
