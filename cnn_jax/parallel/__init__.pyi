from .layout import JitLayout as JitLayout
