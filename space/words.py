"""What the page says, in English and German, from one dictionary."""

from __future__ import annotations

import re
from typing import Literal

from cyclorama.engine.errors import CycloramaError
from cyclorama.serving.requests import Field

Language = Literal["en", "de"]

_SAID: dict[str, tuple[str, str]] = {
    "title": ("Cyclorama", "Cyclorama"),
    "what": (
        "Your photo on a new background. The subject stays as it is, pixel for pixel.",
        "Dein Foto vor einem neuen Hintergrund. Das Motiv bleibt, wie es ist, Pixel für Pixel.",
    ),
    "private": (
        "Nothing leaves this server. Photos and pictures are deleted {minutes} minutes after they were last looked at.",
        "Nichts verlässt diesen Server. Fotos und Bilder werden {minutes} Minuten nach dem letzten Ansehen gelöscht.",
    ),
    "delete": ("Delete my photo and pictures now", "Mein Foto und meine Bilder jetzt löschen"),
    "delete-sure": ("Yes, delete them", "Ja, löschen"),
    "deleted": ("Your photo and pictures are deleted.", "Dein Foto und deine Bilder sind gelöscht."),
    "photo": ("Photo", "Foto"),
    "drop": ("Drop a photo here, or paste one", "Foto hierher ziehen oder einfügen"),
    "choose": ("Choose a photo", "Foto auswählen"),
    "choose-other": ("Another photo", "Anderes Foto"),
    "camera": ("Take a photo", "Foto aufnehmen"),
    "samples": ("Or try one of these", "Oder eines von diesen"),
    "sample-astronaut": ("Photo of an astronaut", "Foto einer Astronautin"),
    "sample-cat": ("Photo of a cat", "Foto einer Katze"),
    "sample-coffee": ("Photo of a cup of coffee", "Foto einer Tasse Kaffee"),
    "sample-drum": ("Photo of a drum", "Foto einer Trommel"),
    "kinds": ("JPEG, PNG, WebP, AVIF, TIFF, HEIC · up to {megabytes} MB and {megapixels} megapixels",
              "JPEG, PNG, WebP, AVIF, TIFF, HEIC · bis {megabytes} MB und {megapixels} Megapixel"),
    "sending": ("Sending …", "Wird gesendet …"),
    "not-sent": ("The photo could not be sent. Is the connection there? Try again.",
                 "Das Foto konnte nicht gesendet werden. Besteht die Verbindung? Versuch es noch einmal."),
    "too-large": ("This file has {got} MB; up to {most} MB are taken.",
                  "Diese Datei hat {got} MB; bis {most} MB sind möglich."),
    "expired": ("Your earlier photo is no longer kept here. Choose it again.",
                "Dein früheres Foto liegt hier nicht mehr. Wähle es noch einmal."),
    "looking": ("Looking for the subject …", "Das Motiv wird gesucht …"),
    "mask": ("Subject", "Motiv"),
    "mask-covers": (
        "The subject covers {share} % of the photo: {width} × {height} pixels from {x}, {y}.",
        "Das Motiv bedeckt {share} % des Fotos: {width} × {height} Pixel ab {x}, {y}.",
    ),
    "editor": ("Mask editor", "Maske bearbeiten"),
    "add": ("Add", "Dazu"),
    "remove": ("Remove", "Weg"),
    "box": ("Box", "Rahmen"),
    "move": ("Move", "Verschieben"),
    "add-help": ("Brush over what belongs to the subject", "Über das malen, was zum Motiv gehört"),
    "remove-help": ("Brush over what does not", "Über das malen, was nicht dazugehört"),
    "box-help": ("Drag a box around the subject", "Einen Rahmen um das Motiv ziehen"),
    "move-help": ("Move the photo under the frame", "Das Foto im Ausschnitt verschieben"),
    "undo": ("Undo", "Rückgängig"),
    "redo": ("Redo", "Wiederholen"),
    "start-over": ("Remove all corrections", "Alle Korrekturen entfernen"),
    "brush-size": ("Brush size", "Pinselgröße"),
    "zoom-in": ("Zoom in", "Vergrößern"),
    "zoom-out": ("Zoom out", "Verkleinern"),
    "fit": ("Show the whole photo", "Ganzes Foto zeigen"),
    "show": ("Show", "Zeigen"),
    "overlay": ("Overlay", "Überlagert"),
    "cutout": ("Cut out", "Freigestellt"),
    "black-white": ("Black and white", "Schwarzweiß"),
    "canvas-label": (
        "The photo with its mask. Arrow keys move the crosshair, Space brushes, X adds or removes.",
        "Das Foto mit seiner Maske. Pfeiltasten bewegen das Fadenkreuz, Leertaste malt, X: dazu oder weg.",
    ),
    "crosshair": ("Crosshair at {x}, {y}", "Fadenkreuz bei {x}, {y}"),
    "tools": ("Tools", "Werkzeuge"),
    "by-keyboard": ("Keyboard and box in numbers", "Tastatur und Rahmen in Zahlen"),
    "keys": (
        "Arrows: move the crosshair, Shift: ten steps · Space: brush, held while moving: a line · [ and ]: size · "
        "X: add or remove · Ctrl+Z and Ctrl+Y: undo and redo · + − 0: zoom",
        "Pfeile: Fadenkreuz bewegen, Umschalt: zehn Schritte · Leertaste: malen, gehalten beim Bewegen: eine Linie · "
        "[ und ]: Größe · X: dazu oder weg · Strg+Z und Strg+Y: rückgängig und wiederholen · + − 0: Zoom",
    ),
    "left": ("Left", "Links"),
    "top": ("Top", "Oben"),
    "width": ("Width", "Breite"),
    "height": ("Height", "Höhe"),
    "set-box": ("Set the box", "Rahmen setzen"),
    "no-box": ("No box", "Kein Rahmen"),
    "background": ("Background", "Hintergrund"),
    "behind-painted": ("Painted", "Gemalt"),
    "behind-picture": ("A picture", "Ein Bild"),
    "behind-colour": ("A colour", "Eine Farbe"),
    "behind-blur": ("Blurred", "Unscharf"),
    "behind-transparent": ("Nothing", "Nichts"),
    "behind": ("What goes behind the subject", "Was hinter das Motiv kommt"),
    "prompt": ("Describe the place", "Beschreibe den Ort (auf Englisch)"),
    "prompt-help": (
        "The place, not the subject: “a sandy beach at sunset”, not “a cat on a beach”.",
        "Den Ort, nicht das Motiv: „a sandy beach at sunset“, nicht „a cat on a beach“; auf Englisch.",
    ),
    "examples": ("Examples", "Beispiele"),
    "colour": ("Colour", "Farbe"),
    "drop-backdrop": ("Drop a picture here, or paste one", "Bild hierher ziehen oder einfügen"),
    "choose-backdrop": ("Choose a picture", "Bild auswählen"),
    "no-prompt": ("Describe the place first, or choose an example.",
                  "Beschreibe zuerst den Ort oder wähle ein Beispiel."),
    "choose-other-backdrop": ("Another picture", "Anderes Bild"),
    "position-own": ("where it is", "wo es ist"),
    "position-0.5,1": ("bottom centre", "unten in der Mitte"),
    "position-0,1": ("bottom left", "unten links"),
    "position-1,1": ("bottom right", "unten rechts"),
    "position-0.5,0.5": ("centre", "in der Mitte"),
    "position-0,0.5": ("left", "links"),
    "position-1,0.5": ("right", "rechts"),
    "position-0.5,0": ("top centre", "oben in der Mitte"),
    "no-backdrop": ("Choose the picture that goes behind first.", "Wähle zuerst das Bild, das dahinter soll."),
    "blur-help": ("The photo's own background, as a wide aperture would show it.",
                  "Der eigene Hintergrund des Fotos, wie ihn eine offene Blende zeigt."),
    "transparent-help": ("The subject alone, on nothing.", "Das Motiv allein, auf nichts."),
    "preset": ("How much care", "Wie sorgfältig"),
    "preset-auto": ("Automatic", "Automatisch"),
    "preset-fast": ("Fast", "Schnell"),
    "preset-balanced": ("Balanced", "Ausgewogen"),
    "preset-quality": ("Careful", "Sorgfältig"),
    "pictures": ("Pictures", "Bilder"),
    "place": ("Canvas and place", "Leinwand und Platz"),
    "canvas-own": ("The photo's", "Wie das Foto"),
    "advanced": ("Advanced", "Für Fortgeschrittene"),
    "left-open": ("chosen for you", "wird gewählt"),
    "left-open-is": ("chosen for you: {value}", "wird gewählt: {value}"),
    "yes": ("yes", "ja"),
    "no": ("no", "nein"),
    "paint": ("Paint", "Malen"),
    "put": ("Make the picture", "Bild machen"),
    "waiting": ("In line: {place} before you", "In der Reihe: {place} vor dir"),
    "next": ("In line: you are next", "In der Reihe: du bist als Nächstes dran"),
    "painting": ("Painting", "Wird gemalt"),
    "seconds-left": ("about {seconds} s left", "noch etwa {seconds} s"),
    "cancel": ("Cancel", "Abbrechen"),
    "cancelled": ("Cancelled. Nothing else was changed.", "Abgebrochen. Sonst hat sich nichts geändert."),
    "interrupted": (
        "The server was restarted and the painting stopped. Your photo, mask and pictures are here; press the button "
        "again.",
        "Der Server wurde neu gestartet und das Malen brach ab. Foto, Maske und Bilder sind noch da; drück den Knopf "
        "noch einmal.",
    ),
    "preview": ("A preview of the picture being painted", "Vorschau des Bildes, das gemalt wird"),
    "results": ("Pictures", "Bilder"),
    "before": ("Before", "Vorher"),
    "after": ("After", "Nachher"),
    "compare": ("How much of the photo is shown, in percent", "Wie viel vom Foto zu sehen ist, in Prozent"),
    "result": ("Picture {number}: {what}", "Bild {number}: {what}"),
    "choose-result": ("Which picture is shown", "Welches Bild gezeigt wird"),
    "download": ("Download", "Herunterladen"),
    "download-cutout": ("Download the subject alone", "Motiv allein herunterladen"),
    "download-mask": ("Download the mask", "Maske herunterladen"),
    "four-ways": ("Try four ways", "Vier Varianten"),
    "four-ways-help": (
        "The same sentence with another seed, with less guidance, and painted smaller and larger: what was measured to "
        "make a picture better most often.",
        "Derselbe Satz mit anderem Seed, mit weniger Guidance, kleiner und größer gemalt: was ein Bild laut Messung am "
        "häufigsten verbessert.",
    ),
    "way-seed": ("another seed", "anderer Seed"),
    "way-guidance": ("less guidance", "weniger Guidance"),
    "way-smaller": ("painted smaller", "kleiner gemalt"),
    "way-larger": ("painted larger", "größer gemalt"),
    "more-like-this": ("Four more like this", "Vier weitere davon"),
    "same-again": ("The same from the command line or Python", "Dasselbe in der Kommandozeile oder in Python"),
    "mask-from-here": ("mask.png is the mask above, to download there.",
                       "mask.png ist die Maske oben, dort herunterzuladen."),
    "another": (
        "This was painted with another photo or another mask than the one above.",
        "Das wurde mit einem anderen Foto oder einer anderen Maske gemalt als oben.",
    ),
    "seed": ("seed {seed}", "Seed {seed}"),
}  # fmt: skip

# Told instead of an error's own line, which is English: by its code, and by the option that it is about.
_ERRORS: dict[str, tuple[str, str]] = {
    "bad_image": ("This file cannot be used: {error}", "Diese Datei lässt sich nicht verwenden: {error}"),
    "no_subject": (
        "No subject was found. Draw a box around it, or brush over it.",
        "Es wurde kein Motiv gefunden. Zieh einen Rahmen darum oder male darüber.",
    ),
    "queue_full": (
        "The line is full. Try again in {seconds} s; your place is held.",
        "Die Reihe ist voll. Versuch es in {seconds} s noch einmal; dein Platz wird freigehalten.",
    ),
    "draining": (
        "The server is being restarted. Your photo and pictures are kept; try again in a moment.",
        "Der Server startet gerade neu. Foto und Bilder bleiben da; versuch es gleich noch einmal.",
    ),
    "no_room": ("There is no room here: {error}", "Hier ist kein Platz: {error}"),
    "too_large": ("This file is too large: {error}", "Diese Datei ist zu groß: {error}"),
    "internal_error": (
        "Something failed here, and it is in the server's log. Your photo and pictures are kept.",
        "Hier ist etwas schiefgegangen, und es steht im Protokoll des Servers. Foto und Bilder bleiben da.",
    ),
}

# Options by their field's name: the label in both languages, and the German description; the English is the field's.
_OPTIONS: dict[str, tuple[str, str, str]] = {
    "canvas": ("Shape", "Format", "square, 4:5, 16:9 … oder Pixel wie 1080x1350; sonst das des Fotos."),
    "fill": ("How much the subject fills", "Wie viel das Motiv ausfüllt",
             "Anteil des Bildes, den das Motiv längs der Seite einnimmt, die es am meisten füllt; 0,85 etwa."),
    "subject_scale": ("Size of the subject", "Größe des Motivs", "1 behält die Pixel, 0,5 halbiert das Motiv."),
    "subject_position": (
        "Position of the subject", "Lage des Motivs",
        "Wie viel vom Platz um das Motiv links und oben bleibt; 0.5,1 ist unten in der Mitte.",
    ),
    "shadow": ("Shadow", "Schatten", "Ein weicher Schatten, wo das Motiv steht."),
    "colour_match": ("The photo's light", "Licht des Fotos", "Bringt den Hintergrund näher an das Licht des Fotos."),
    "mask_model": ("Mask network", "Masken-Netz", "Welches Netz das Motiv findet."),
    "model": ("Model", "Modell", "Was den Hintergrund malt."),
    "negative_prompt": ("Not to be shown", "Was nicht zu sehen sein soll",
                        "Was der Hintergrund nicht zeigen soll; sonst, was das Modell vorschlägt."),
    "num_inference_steps": ("Steps", "Schritte", "Schritte beim Entrauschen."),
    "guidance_scale": ("Guidance scale", "Guidance Scale", "Wie genau dem Satz gefolgt wird; 1 ist gar nicht."),
    "strength": ("Strength", "Stärke", "Unter 1 scheint der alte Hintergrund durch."),
    "seed": ("Seed", "Seed", "Derselbe Seed macht dasselbe Bild; sonst zufällig."),
    "sampler": ("Sampler", "Sampler", "Das Verfahren, das Rauschen zum Bild macht."),
    "timestep_spacing": ("Timestep spacing", "Verteilung der Schritte",
                         "Wie sich die Schritte über das Rauschen verteilen."),
    "cache_interval": ("Cache interval", "Cache-Abstand",
                       "Rechnet das ganze UNet nur bei jedem n-ten Schritt, dazwischen die äußeren Schichten."),
    "guidance_interval": ("Guidance interval", "Guidance-Abschnitt",
                          "Von welchem bis zu welchem Anteil der Schritte geführt wird, etwa 0,0.75."),
    "token_downsampling": ("Token downsampling", "Token-Verkleinerung",
                           "Billigere Aufmerksamkeit auf großen Merkmalskarten."),
    "working_size": ("Working size", "Arbeitsgröße",
                     "Seite des Quadrats in Pixeln, dessen Fläche gemalt wird; sonst die des Modells."),
    "best_of": ("Best of", "Bestes von", "So viele malen und das behalten, bei dem das Motiv am wenigsten wuchs."),
    "good_enough": ("Good enough", "Gut genug", "Mit „Bestes von“: aufhören, sobald es nur um diesen Anteil wuchs."),
    "max_bytes": ("Most bytes", "Höchstens Bytes", "So groß darf die Datei höchstens sein."),
}  # fmt: skip

# What the engine notes, as a pattern, and the same in German.
_NOTES: dict[str, str] = {
    r"the mask is doubtful \((\d+%).*":
        r"Die Maske ist unsicher (\1 solcher Masken sind falsch): sieh sie dir an; ein Rahmen um das Motiv hilft.",
    r"(\d+) subjects were found and all are kept.*":
        r"\1 Motive wurden gefunden und alle behalten; ein Rahmen wählt eines aus, der Pinsel nimmt eines weg.",
    "what is blurred or cut off by the border.*":
        "Unscharfes und vom Rand Abgeschnittenes neben dem Motiv blieb weg; der Pinsel holt es zurück.",
    "no word of the prompt names a place that (.*?) was trained on(?:; it paints )?(.*)":
        r"\1 versteht Englisch, und kein Wort nennt einen Ort, den es kennt. \2",
    "(.*) does not know (.*?)(?:; it paints (.*))?": r"\1 versteht Englisch und kennt nicht: \2. \3",
    "the photo's own transparency is its mask.*":
        "Die Transparenz des Fotos ist seine Maske; ein Masken-Netz sucht das Motiv stattdessen.",
    "the subject reaches the picture's lower edge.*":
        "Das Motiv reicht bis an den unteren Rand; für einen Schatten ist kein Boden da.",
    "the photo's .* cuts the subject off, so it stays.*":
        "Der Rand des Fotos schneidet das Motiv ab, deshalb bleibt es dort am Rand; „Lage des Motivs“ verschiebt es.",
    "the photo's edge cuts the subject off .*which shows.*":
        "Der Rand des Fotos schneidet das Motiv ab, was hier zu sehen ist; verschiebe oder vergrößere es.",
    "a colour profile is broken.*":
        "Das Farbprofil ist beschädigt; die Farben wurden genommen, wie sie sind.",
    ".* is animated; its first frame is used": "Das Bild ist animiert; das erste Bild davon wurde genommen.",
}  # fmt: skip


class Words:
    """What the page says in one language. locale: as browsers have it, such as de-AT; English where we lack it."""

    def __init__(self, locale: str | None) -> None:
        self.language: Language = "de" if (locale or "").lower().startswith("de") else "en"
        self._which = 1 if self.language == "de" else 0

    def __call__(self, key: str, **values: object) -> str:
        """A text by its key, with values in their places."""
        return _SAID[key][self._which].format(**values)

    def group(self, *keys: str) -> dict[str, str]:
        """Several texts by their keys, for the browser, with their places still open."""
        return {key: _SAID[key][self._which] for key in keys}

    def errors(self) -> dict[str, str]:
        """All errors by their code, for the browser."""
        return {code: texts[self._which] for code, texts in _ERRORS.items()}

    def error(self, error: BaseException) -> str:
        """What went wrong, in this language as far as there are words for it."""
        code = error.code if isinstance(error, CycloramaError) else "internal_error"
        said = _ERRORS.get(code)
        if said is None:
            name = getattr(error, "option", None) or ""
            label = _OPTIONS[name][self._which] if name in _OPTIONS else name
            return str(error).replace(name, f"“{label}”", 1) if name else str(error)
        return said[self._which].format(error=error, seconds=getattr(error, "retry_after", ""))

    def note(self, note: str) -> str:
        """A note of the engine's, in this language as far as there are words for it."""
        if self.language == "de":
            for pattern, german in _NOTES.items():
                if found := re.fullmatch(pattern, note):
                    return found.expand(german)
        return note[:1].upper() + note[1:]

    def option(self, field: Field) -> tuple[str, str]:
        """An option's label and description."""
        english, german, description = _OPTIONS[field.name]
        return (german, description) if self.language == "de" else (english, field.description)
