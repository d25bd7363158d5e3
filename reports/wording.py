"""Formats numbers, times and lists for people."""

from __future__ import annotations

from datetime import UTC, datetime

from labwright.text import line


def number(value: float) -> str:
    """Return a number of points without a needless fraction, such as 5 or 2.5."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """Return a duration in a suitable unit, such as 40 ms, 6.1 s or 2 min 05 s."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def moment(iso: str) -> datetime | None:
    """Parse a time in ISO 8601, and return it in UTC; return None if it is malformed."""
    try:
        time = datetime.fromisoformat(iso)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def when(iso: str) -> str:
    """Return a time in UTC for people, or the text itself if it is malformed."""
    time = moment(iso)
    return f"{time:%-d %B %Y, %H:%M:%S} UTC" if time else line(iso, 40)


def between(started: str, finished: str) -> str:
    """Return the duration between two times, or "" if one is malformed."""
    start, end = moment(started), moment(finished)
    return duration((end - start).total_seconds()) if start and end else ""


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as "1 step" or "2 steps"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(words: list[str]) -> str:
    """Return words as a list in a sentence, such as "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
