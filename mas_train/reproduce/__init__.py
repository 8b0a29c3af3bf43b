"""Experiments as plans: from videos to a page, in steps that are the project's own commands.

`plan` defines plans and their steps, `run` carries one out and resumes it. `small` is the experiment for two
CPU cores, `pilots` its recipe with one choice changed at a time, `full` the paper's experiments, whose cost
`estimate` computes. `measure` reads the results of the small experiment, `page` and `plots` show them.
"""
