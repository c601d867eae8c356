"""Documents: files whose text lies among markup, such as subtitles, web pages and translation memories."""
