"""What pages are drawn with, and the report that is one file: styles, charts as inline SVG, templates."""
