"""`slicer.i18n` without translations."""


def tr(text):
    return text


def translate(_context, text):
    return text


def getContext(_path):
    return ""
