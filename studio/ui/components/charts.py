"""What all Plotly charts of the page share."""

from typing import Any

# The colour of bars.
BAR_COLOUR = "#6366f1"


def style_figure(figure: Any, title: str, subtitle: str, x_title: str, y_title: str) -> Any:
    """A figure without ground, in a grey that is read on light and dark."""
    figure.update_layout(
        template="none",
        title={"text": title, "font": {"size": 15}, "subtitle": {"text": subtitle, "font": {"size": 12}}},
        font={"color": "#64748b"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 60, "r": 20, "t": 96 if subtitle else 44, "b": 44},
        bargap=0.06,
        xaxis={"title": x_title, "automargin": True, "gridcolor": "rgba(100,116,139,.2)"},
        yaxis={"title": y_title, "automargin": True, "gridcolor": "rgba(100,116,139,.2)"},
    )
    return figure
