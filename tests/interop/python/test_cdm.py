"""Microsoft's CDM SDK loads model.json through its local adapter."""

import asyncio
import json
import pathlib
import urllib.request

from cdm.objectmodel import CdmCorpusDefinition
from cdm.storage import ADLSAdapter, LocalAdapter

import expected

FORMATS = {
    "string": "String",
    "int64": "Int64",
    "dateTime": "DateTime",
    "dateTimeOffset": "DateTimeOffset",
    "boolean": "Boolean",
    "decimal": "Decimal",
    "double": "Double",
    "guid": "Guid",
}


def test_it_finds_every_table_attribute_and_partition(demo, tmp_path):
    url = demo["examples"]["curl"].split("'")[1]
    model = urllib.request.urlopen(url).read()
    (tmp_path / "model.json").write_bytes(model)
    corpus = CdmCorpusDefinition()
    problems = []
    corpus.set_event_callback(lambda level, message: problems.append((level, message)))
    corpus.storage.mount("local", LocalAdapter(str(tmp_path)))
    host = f"{demo['account']}.dfs.core.windows.net"
    corpus.storage.mount("lake", ADLSAdapter(hostname=host, root=f"/{demo['filesystem']}", shared_key=demo["key"]))
    corpus.storage.default_namespace = "local"
    manifest = asyncio.run(corpus.fetch_object_async("local:/model.json"))
    assert manifest is not None, problems
    described = {entity["name"]: entity for entity in json.loads(model)["entities"]}
    assert [e.entity_name for e in manifest.entities] == list(described)
    for declaration in manifest.entities:
        wanted = described[declaration.entity_name]
        assert len(declaration.data_partitions) == len(wanted["partitions"])
        for partition, said in zip(declaration.data_partitions, wanted["partitions"]):
            assert partition.location.endswith(pathlib.PurePosixPath(said["location"]).name)
        entity = asyncio.run(corpus.fetch_object_async(declaration.entity_path, manifest))
        names = [attribute.name for attribute in entity.attributes]
        assert names == [attribute["name"] for attribute in wanted["attributes"]]
    assert set(described) == {name for name, _, _ in expected.entities(model)}
