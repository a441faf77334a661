"""What the user sees: operators, panels, preferences, translations. May import bpy."""
