"""Whether Playwright can open a page in the browser at this path, as the tests do."""

from __future__ import annotations

import sys

from playwright.sync_api import Error, sync_playwright

with sync_playwright() as playwright:
    try:
        browser = playwright.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
        browser.new_page().goto("about:blank")
        browser.close()
    except Error as error:
        said = [line for line in str(error).splitlines() if "[err]" in line]
        sys.exit("\n".join(said[:5]) or str(error))
