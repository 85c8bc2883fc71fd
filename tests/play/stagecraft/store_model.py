"""store_model.py: what the store should have, as a few dicts, and what each question should be answered from them. For one writer at a time
(plays/47_store_model.py); many at once are the kill tests' matter (tests/fault).

What only the store decides (ids, times) is taken from its answers; everything else is predicted. A write whose answer was lost is settled by looking:
either nothing has changed, or exactly what was asked for.
"""
import math

from .channel_frames import ENTITIES, row_members
from .entity_model import PARENTS

LIMITS = [("temperatura", lambda x: x > 35, "temperatura_alta"), ("temperatura", lambda x: x < 5, "temperatura_baja"),
          ("humedad", lambda x: x > 90, "humedad_alta"), ("humedad", lambda x: x < 10, "humedad_baja")]
ATYPICAL = {"temperatura_atipica", "humedad_atipica"}
EARTH_KM = 6371.0088


def limits_broken(reading):
    return sorted((kind, reading[member]) for member, breaks, kind in LIMITS if breaks(reading[member]))


def kilometres(a, b):
    """Great circle, by the haversine."""
    (lat1, lon1), (lat2, lon2) = [(math.radians(x), math.radians(y)) for x, y in (a, b)]
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1, h)))


class StoreModel:
    def __init__(self):
        self.rows = {entity: {} for entity in ENTITIES}
        self.versions = {}
        self.gone = {entity: [] for entity in ENTITIES}

    # --- what is there ------------------------------------------------------------------------------------------------

    def all(self, entity):
        return [self.rows[entity][id] for id in sorted(self.rows[entity])]

    def orphaned(self, entity, members):
        """It names a parent that is not there."""
        return any(members[member] not in self.rows[parent] for member, parent in PARENTS.get(entity, []))

    def place_taken(self, latitud, longitud, but=None):
        return any((row["latitud"], row["longitud"]) == (latitud, longitud) and id != but for id, row in self.rows["ubicacion"].items())

    def anomalies_of(self, reading):
        return [row for row in self.all("anomalia") if row["lectura_id"] == reading]

    # --- changes ---------------------------------------------------------------------------------------------------------

    def add(self, entity, row, members):
        """`row` is new, as the store tells it: what was asked for, and nothing else."""
        wanted = dict.fromkeys(row_members(entity)) | members
        for member in ("id", "created_at", "updated_at"):
            wanted[member] = row[member]
        if entity == "lectura" and "timestamp" not in members:
            wanted["timestamp"] = row["created_at"]
        assert dict(row) == wanted, f"asked for {wanted}, got {dict(row)}"
        assert row["created_at"] == row["updated_at"] and row["id"] not in self.rows[entity] and row["id"] not in self.gone[entity], row
        self.rows[entity][row["id"]] = dict(row)
        self.versions[entity, row["id"]] = 1

    def adopt_anomalies(self, reading, found):
        """What detection made of a new reading: its limits exactly, each of the others at most once."""
        kinds = sorted((row["tipo"], row["valor"]) for row in found if row["tipo"] not in ATYPICAL)
        assert kinds == limits_broken(reading), f"{reading} has {kinds}"
        others = [row["tipo"] for row in found if row["tipo"] in ATYPICAL]
        assert len(others) == len(set(others)), found
        for row in found:
            assert (row["lectura_id"], row["machine_id"], row["resuelta"], row["resuelta_at"]) == (reading["id"], None, False, None), row
            self.rows["anomalia"][row["id"]] = dict(row)
            self.versions["anomalia", row["id"]] = 1

    def change(self, entity, id, row, members):
        """`row` is it now."""
        before = self.rows[entity][id]
        changes = {k: v for k, v in members.items() if before[k] != v}
        wanted = {**before, **changes}
        if changes:
            wanted["updated_at"] = row["updated_at"]
            self.versions[entity, id] += 1
        if changes.get("resuelta"):
            assert row["resuelta_at"] is not None, row
            wanted["resuelta_at"] = row["resuelta_at"]
        assert dict(row) == wanted and row["updated_at"] >= before["updated_at"], f"asked for {wanted}, got {dict(row)}"
        self.rows[entity][id] = wanted

    def remove(self, entity, id):
        """With everything that belongs to it; how many rows."""
        count = 1
        for child, parents in PARENTS.items():
            for member, parent in parents:
                for mine in [i for i, row in self.rows[child].items() if parent == entity and row[member] == id]:
                    count += self.remove(child, mine)
        del self.rows[entity][id]
        self.gone[entity].append(id)
        return count

    # --- questions --------------------------------------------------------------------------------------------------------

    def list(self, entity, skip=0, limit=100, **filters):
        return [row for row in self.all(entity) if all(row[k] == v for k, v in filters.items())][skip:skip + limit]

    def readings_of(self, sensor, skip=0, limit=100):
        mine = sorted((row for row in self.all("lectura") if row["sensor_id"] == sensor), key=lambda r: (r["timestamp"], r["id"]), reverse=True)
        return mine[skip:skip + limit]

    def averages(self, sensor):
        """(temperatura, humedad, count)"""
        mine = self.readings_of(sensor, 0, 10 ** 9)
        if not mine:
            return None, None, 0
        return *(math.fsum(r[m] for r in mine) / len(mine) for m in ("temperatura", "humedad")), len(mine)

    def search(self, q, skip=0, limit=100):
        return [row for row in self.all("ubicacion") if row["descripcion"] is not None and q.casefold() in row["descripcion"].casefold()][skip:skip + limit]

    def near(self, latitud, longitud, radio):
        """[(km, row)], nearest first."""
        found = [(kilometres((latitud, longitud), (row["latitud"], row["longitud"])), row) for row in self.all("ubicacion")]
        return sorted(((km, row) for km, row in found if km <= radio), key=lambda x: (x[0], x[1]["id"]))

    def critical(self, threshold=50):
        return sorted((r for r in self.all("anomalia") if not r["resuelta"] and r["valor"] >= threshold), key=lambda r: (r["valor"], r["id"]), reverse=True)

    def high_risk(self, threshold=0.7):
        return sorted((r for r in self.all("prediccion") if r["probabilidad"] >= threshold), key=lambda r: (r["probabilidad"], r["id"]), reverse=True)

    def predictions_of(self, place):
        return [row for row in reversed(self.all("prediccion")) if row["ubicacion_id"] == place]

    @staticmethod
    def probability(temperature, humidity):
        clamp = lambda x: min(1.0, max(0.0, x))  # noqa: E731
        return 0.6 * clamp((temperature - 20) / 20) + 0.4 * clamp((80 - humidity) / 80)

    # --- a write that nobody answered -----------------------------------------------------------------------------------------

    def differs(self, found):
        """Where what is there is another than this: {entity: ids}. `found`: {entity: rows}."""
        told = {}
        for entity, rows in found.items():
            theirs = {row["id"]: dict(row) for row in rows}
            ids = {id for id in theirs.keys() | self.rows[entity].keys() if theirs.get(id) != self.rows[entity].get(id)}
            if ids:
                told[entity] = sorted(ids)
        return told
