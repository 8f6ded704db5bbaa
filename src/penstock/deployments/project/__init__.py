"""The project file: `penstock.yaml`, or a `prefect.yaml` that is there already.

`document` reads it with the place of every member, `shape` says what may stand in it, `checks`
what is wrong with it, `edit` changes one deployment in it and no other byte.
"""
