"""Sites: where things happen; every event and most commands name one."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Line, Model, Open, Query, Site, Time
from libs.common.problems import Conflict


class SiteCreate(Model):
    site: Site = Field(description="Its name: a-z, 0-9 and -")
    title: Line = Field(description="The title that people read")


class SiteView(Open):
    site: str
    title: str
    created_at: Time


create_site = Command(
    "gateway.site.create",
    about="{site}",
    body=SiteCreate,
    result=SiteView,
    permission="site:write",
    http=POST("/api/sites", status=201),
    errors=(Conflict,),
    summary="Create a site",
    sited=False,
)
list_sites = Query(
    "gateway.sites.list",
    result=list[SiteView],
    permission="site:read",
    http=GET("/api/sites"),
    summary="List the sites that you may see",
    sited=False,
)
every_site = Query("gateway.sites.every", result=list[str], sited=False)  # whoever asks: for services
site_created = Event("gateway.site.created", data=SiteView, summary="A site was created")
