"""The graph room (pure): nodes and their names, the graph, selection, and how a graph is shown.

`nodes` has names, `graph` the graph and `build_graph`, `selection` dbt's grammar, `rendering` text,
Mermaid and JSON. Nothing is imported here, so that who only needs names does not load networkx.
"""
