"""A run as a page for people, and the words in which the command line tells of numbers.

Pure: `page.render_report` makes one self-contained HTML document of a run record; `text` and `outcomes`
serve the command line too, so importing this package alone loads neither.
"""
