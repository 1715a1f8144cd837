"""The one page that names everything and who feeds whom."""
