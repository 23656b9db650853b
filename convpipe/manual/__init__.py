"""The manual: a page for each topic, printed by `convpipe help TOPIC`."""
