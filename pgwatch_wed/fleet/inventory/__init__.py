"""Who belongs to a fleet: sources of several kinds → one list of members, with what was left out and why."""

from pgwatch_wed.fleet.inventory.source_reading import read as read
