"""A stand-in for the desktop application 3D Slicer, for tests alone, on top of the `slicer-core` wheel.

Real: the scene, nodes, storage, module logics, displayable managers, the layout's view nodes, `slicer.util`.
Stand-ins of our own: `slicer.app` (`application`), reading and writing files (`file_io`), views rendered off screen
(`views`, `layout`), the modules `qt` and `ctk` and the qMRML widgets over PySide6 with the habits of PythonQt
(`pythonqt`, `ctk_widgets`, `ctk_numbers`, `mrml_widgets`, `node_selectors`), .ui files read strictly (`ui_loader`,
`ui_check`), message boxes that a test answers (`dialogs`), and what `slicer-core` leaves out of the package `slicer`
(`slicer_python/`). `screenshots` and `train_screenshots` draw the pictures of the README.

`application.start()` gives a scene and logics and needs `slicer-core` alone; `desktop.start()` adds Qt and needs
PySide6 too. Importing this package loads neither. `Testing/conftest.py` turns both into fixtures.
"""
