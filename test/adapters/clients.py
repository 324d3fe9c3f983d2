"""Sends a form: python clients.py CLIENT URL FILE FIELDS, the fields as JSON of pairs."""

import asyncio
import json
import os
import sys

client, url, path, fields = sys.argv[1:]
fields = json.loads(fields)
name = os.path.basename(path)


def send_requests():
    import requests

    with open(path, "rb") as file:
        requests.post(url, data=fields, files={"file": (name, file)}).raise_for_status()


def send_requests_toolbelt():
    import requests
    from requests_toolbelt import MultipartEncoder

    with open(path, "rb") as file:
        form = MultipartEncoder([*fields, ("file", (name, file, "application/octet-stream"))])
        headers = {"content-type": form.content_type}
        requests.post(url, data=form, headers=headers).raise_for_status()


def send_httpx():
    import httpx

    with open(path, "rb") as file:
        httpx.post(url, data=dict(fields), files={"file": (name, file)}).raise_for_status()


def send_aiohttp():
    import aiohttp

    async def send():
        # By default it sends names with a percent sign for each byte, which no server can tell from such a name.
        form = aiohttp.FormData(quote_fields=False)
        for field, value in fields:
            form.add_field(field, value)
        with open(path, "rb") as file:
            form.add_field("file", file, filename=name)
            async with aiohttp.ClientSession(raise_for_status=True) as session:
                await session.post(url, data=form)

    asyncio.run(send())


globals()[f"send_{client}"]()
