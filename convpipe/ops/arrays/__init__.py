"""Pure array functions that several operations share: no files, no configs, arguments never changed."""
