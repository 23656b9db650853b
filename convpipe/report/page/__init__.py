"""The page: one HTML file, without a network, in which a run or a collection can be looked at.

`document` makes the file, `script` joins the modules (*.mjs) and styles (*.css) that lie here, `packed` is how an array
stands in it; `run_page` and `collection_page` say what goes in.
"""
