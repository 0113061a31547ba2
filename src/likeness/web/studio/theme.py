"""Colours and fonts. The fonts are those of the visitor's system: nothing is fetched."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, sizes

ACCENT = colors.Color(
    name="accent",
    c50="#eef5fc", c100="#d9e9f8", c200="#b5d3f1", c300="#86b7e7", c400="#5b9fe0", c500="#1f6fc0", c600="#0a5fb4",
    c700="#084f97", c800="#083f77", c900="#08335f", c950="#05213f",
)  # fmt: skip
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")


def theme() -> gr.themes.Base:
    """Calm: one accent, wide spacing, hairlines instead of boxes in boxes."""
    return gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=colors.slate,
        text_size=sizes.text_md,
        spacing_size=sizes.spacing_lg,
        radius_size=sizes.radius_md,
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="#ffffff",
        body_background_fill_dark="#13171b",
        body_text_color="#1b1f23",
        body_text_color_dark="#e6e9ec",
        body_text_color_subdued="#5b646d",
        body_text_color_subdued_dark="#9ca6af",
        block_background_fill="#ffffff",
        block_background_fill_dark="#13171b",
        block_border_width="0px",
        block_padding="0px",
        layout_gap="20px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="#5b646d",
        block_label_text_color_dark="#9ca6af",
        block_title_text_color="#1b1f23",
        block_title_text_color_dark="#e6e9ec",
        block_title_text_weight="600",
        block_info_text_color="#5b646d",
        block_info_text_color_dark="#9ca6af",
        block_shadow="none",
        border_color_primary="#d8dde2",
        border_color_primary_dark="#343c44",
        panel_background_fill="#ffffff",
        panel_background_fill_dark="#13171b",
        button_primary_background_fill="#0a5fb4",
        button_primary_background_fill_hover="#084f97",
        button_primary_background_fill_dark="#0a5fb4",
        button_primary_background_fill_hover_dark="#1f6fc0",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#f4f6f8",
        button_secondary_background_fill_hover="#e7ebef",
        button_secondary_background_fill_dark="#1c2228",
        button_secondary_background_fill_hover_dark="#28313a",
        button_secondary_border_color="#d8dde2",
        button_secondary_border_color_dark="#343c44",
        input_background_fill="#ffffff",
        input_background_fill_dark="#1c2228",
        input_border_width="1px",
        input_padding="9px 12px",
        checkbox_border_color="#87919b",
        checkbox_border_color_dark="#87919b",
        button_border_width="1px",
        button_primary_border_color="#0a5fb4",
        button_primary_border_color_dark="#0a5fb4",
        slider_color="#0a5fb4",
        slider_color_dark="#5b9fe0",
        input_border_color="#b9c1c9",
        input_border_color_dark="#4d5a66",
        checkbox_label_background_fill="#f4f6f8",
        checkbox_label_background_fill_dark="#1c2228",
        checkbox_label_background_fill_selected="#eef5fc",
        checkbox_label_background_fill_selected_dark="#08335f",
        checkbox_label_text_color_selected="#1b1f23",
        checkbox_label_text_color_selected_dark="#ffffff",
    )
