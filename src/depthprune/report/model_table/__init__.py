"""The table of models as a workbook, CSV, Markdown, HTML and LaTeX. Only formatting."""
