"""Experiments as plans: from videos to a page, in steps that are the project's own commands.

`plan` defines plans and their steps, `run` carries one out and resumes it. `small` is the experiment for two
CPU cores, of the videos that `footage` sorts, `pilots` makes its choices, `full` has the paper's experiments;
`estimate` computes what they cost. `measure` reads the results of the small experiment, `claims` says what
they show, `page` and `plots` show them.
"""
