"""The custom resources and the action contract as frozen data.

Belongs here: what stands in the API server or in an action image, its wire form, the names and labels that
tie objects together, and the schemas generated from all that. Does not belong here: what to do about it
(`planning`), what to refuse (`admission`) and any input or output. This room is pure.
"""
