"""Pictures of what was measured. Their rooms load matplotlib when something is drawn."""
