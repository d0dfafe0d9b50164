"""What can be computed from a page: whether texts can be read, whether all fits, whether everything is labelled."""

from __future__ import annotations

from typing import Any

CONTRAST = """
(root) => {
    // Colours as the browser computed them, in whatever notation, painted once to have numbers.
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const brush = canvas.getContext('2d', {willReadFrequently: true});
    const known = {};
    const numbers = (colour) => {
        if (!(colour in known)) {
            brush.clearRect(0, 0, 1, 1);
            brush.fillStyle = colour;
            brush.fillRect(0, 0, 1, 1);
            const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
            known[colour] = [r, g, b, a / 255];
        }
        return known[colour];
    };
    const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) {
            const colour = numbers(getComputedStyle(at).backgroundColor);
            if (colour[3] > 0) layers.push(colour);
            if (colour[3] === 1) break;
        }
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const light = (colour) => {
        const [r, g, b] = colour.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const seen = (element) => {
        let share = 1;
        for (let at = element; at; at = at.parentElement) share *= parseFloat(getComputedStyle(at).opacity);
        return share;
    };
    const found = [];
    const look = (element, text) => {
        const style = getComputedStyle(element);
        const box = element.getBoundingClientRect();
        if (!text.trim() || !box.width || !box.height || style.visibility !== 'visible') return;
        // What cannot be used WCAG 1.4.3 excepts; the numbers of cells are JupyterLab's own.
        if (element.closest('[disabled], :disabled, [aria-hidden=true], .jp-OutputPrompt')) return;
        const below = behind(element);
        const colour = numbers(style.color);
        const above = over([colour[0], colour[1], colour[2], colour[3] * seen(element)], below);
        const [a, b] = [light(above), light(below)].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const ratio = Math.round((a + 0.05) / (b + 0.05) * 100) / 100;
        found.push({text: text.trim().slice(0, 60), ratio, asked: large ? 3 : 4.5, colour: style.color,
            background: below.map(Math.round).join(',')});
    };
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) look(walk.currentNode.parentElement, walk.currentNode.textContent);
    for (const field of root.querySelectorAll('input, textarea, select')) look(field, field.value || '');
    return found;
}
"""
WIDER = """
(root) => {
    // What a person would have to scroll sideways for, or cannot see at all.
    const edge = root.getBoundingClientRect().right + 1;
    const scrolls = (at) => {
        for (; at && at !== root; at = at.parentElement)
            if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(at).overflowX)) return true;
        return false;
    };
    return [...root.querySelectorAll('button, input, select, textarea, img, label, p, span, td')]
        .map(at => [at, at.getBoundingClientRect()])
        .filter(([at, box]) => box.width && box.right > edge && !scrolls(at.parentElement))
        .map(([at]) => `${at.tagName} ${(at.textContent || at.value || '').trim().slice(0, 40)}`);
}
"""
NAMELESS = """
(root) => [...root.querySelectorAll('button, input, select, textarea')]
    .filter(at => at.getBoundingClientRect().width && at.type !== 'hidden')
    .filter(at => {
        const label = at.getAttribute('aria-label') || at.title || at.placeholder || at.textContent.trim();
        const named = at.labels && [...at.labels].some(one => one.textContent.trim());
        const box = at.closest('.widget-inline-hbox, .widget-checkbox');
        const beside = box && box.textContent.trim();
        return !label && !named && !beside;
    })
    .map(at => `${at.tagName} ${at.type || ''} ${at.className}`)
"""


def hard_to_read(place: Any) -> list[str]:
    """Texts whose contrast, computed from real colours, is less than WCAG 1.4.3 asks. There must be some text."""
    found = place.evaluate(CONTRAST)
    assert found, "there is nothing to read"
    return [
        f"{t['text']!r} {t['ratio']} ({t['colour']} on {t['background']})" for t in found if t["ratio"] < t["asked"]
    ]


def too_wide(place: Any) -> list[str]:
    """Elements that reach out of their place on the right and cannot be scrolled to."""
    found: list[str] = place.evaluate(WIDER)
    return found


def nameless(place: Any) -> list[str]:
    """Controls that a screen reader could only call "button" or "edit"."""
    found: list[str] = place.evaluate(NAMELESS)
    return found


def light_arrow(chooser: Any) -> bool:
    """Whether the arrow of a list to choose from is drawn for a dark page."""
    return "%23ddd" in chooser.evaluate("at => getComputedStyle(at).backgroundImage")
