"""Who the subject is: its alpha, from networks, colours, edges and hints; and its own colours where they are mixed."""
