"""Translations of the interface. Every string of the panels goes through Blender's own tables. May import bpy.

A language is one dictionary here: `(context, English) -> translation`. Contexts are "*" except for operators'
labels ("Operator"). Blender falls back to English for what is missing.
"""

from __future__ import annotations

import bpy

from ..session.extension import EXTENSION_ID

GERMAN: dict[tuple[str, str], str] = {
    ("*", "Capture"): "Aufnahme",
    ("*", "Clips"): "Clips",
    ("*", "Clean-up"): "Bereinigen",
    ("*", "Retarget"): "Übertragen",
    ("*", "Skeleton Map"): "Skelettzuordnung",
    ("*", "Bake"): "Backen",
    ("*", "Body Height"): "Körpergröße",
    ("*", "Field of View"): "Bildwinkel",
    ("*", "Camera Tilt"): "Kameraneigung",
    ("*", "Quality"): "Qualität",
    ("*", "Person"): "Person",
    ("*", "Slow Motion"): "Zeitlupe",
    ("*", "Plant Feet"): "Füße aufsetzen",
    ("*", "Straighten Knees"): "Knie strecken",
    ("*", "Smoothing"): "Glätten",
    ("*", "Deform Bones Only"): "Nur verformende Knochen",
    ("*", "Mixed"): "Gemischt",
    ("*", "Start Frame"): "Startbild",
    ("*", "Reduce Keys"): "Weniger Keyframes",
    ("*", "First Steps"): "Erste Schritte",
    ("*", "Hands to Props"): "Hände an Requisiten",
    ("*", "Left Hand"): "Linke Hand",
    ("*", "Right Hand"): "Rechte Hand",
    ("*", "Parts"): "Körperteile",
    ("*", "Finding people"): "Suche nach Personen",
    ("Operator", "Start Capture"): "Aufnahme starten",
    ("Operator", "Cancel"): "Abbrechen",
    ("Operator", "Bake"): "Backen",
    ("Operator", "Live Retarget"): "Live übertragen",
    ("Operator", "Show Skeleton"): "Skelett zeigen",
    ("Operator", "Camera over Video"): "Kamera über dem Video",
    ("Operator", "Export Motion"): "Bewegung exportieren",
    ("Operator", "Find People"): "Personen suchen",
    ("Operator", "Cancel Search"): "Suche abbrechen",
    ("Operator", "Discard Final Solve"): "Endgültige Lösung verwerfen",
    ("Operator", "Pick Person in Image"): "Person im Bild wählen",
    ("Operator", "Capture from This Clip"): "Diesen Clip aufnehmen",
    ("Operator", "Add Video"): "Video hinzufügen",
    ("Operator", "Find Videos"): "Videos suchen",
    ("Operator", "Save Set-up"): "Aufbau speichern",
    ("*", "Use Set-up"): "Aufbau verwenden",
    ("*", "Use Calibration"): "Kalibrierung verwenden",
    ("*", "Close-up"): "Nahaufnahme",
    ("*", "Known Offset"): "Bekannter Versatz",
    ("Operator", "Load Sample"): "Beispiel laden",
    ("Operator", "Set Up Backend"): "Backend einrichten",
    ("Operator", "Copy Report"): "Bericht kopieren",
}
LANGUAGES = {"de_DE": GERMAN, "de": GERMAN}


def attach() -> None:
    """Hand the tables to Blender."""
    bpy.app.translations.register(EXTENSION_ID, LANGUAGES)  # type: ignore[arg-type]  # the stubs leave out contexts


def detach() -> None:
    """Take them back."""
    bpy.app.translations.unregister(EXTENSION_ID)
