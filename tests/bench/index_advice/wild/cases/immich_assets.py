from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="immich_assets",
    about=(
        "Photographs by month of local time, by the path of a library, and the faces of a photograph, where the key starts with the"
        " person; quoted names, random UUIDs and an enum (after immich-app/immich issues 7909 and 28173, pull 4410)."
    ),
    schema="""
CREATE TYPE asset_visibility AS ENUM ('archive', 'timeline', 'hidden', 'locked');
CREATE TABLE asset (
  id uuid PRIMARY KEY, "deviceAssetId" varchar NOT NULL, "ownerId" uuid NOT NULL, "libraryId" uuid, type varchar NOT NULL,
  "originalPath" varchar NOT NULL, "originalFileName" varchar NOT NULL, checksum bytea NOT NULL, "isFavorite" boolean NOT NULL,
  "isOffline" boolean NOT NULL, "livePhotoVideoId" uuid, "stackId" uuid, "duplicateId" uuid, visibility asset_visibility NOT NULL,
  "fileCreatedAt" timestamptz NOT NULL, "localDateTime" timestamptz NOT NULL, "updatedAt" timestamptz NOT NULL, "deletedAt" timestamptz
);
CREATE INDEX "asset_fileCreatedAt_idx" ON asset ("fileCreatedAt");
CREATE TABLE asset_face (
  id uuid PRIMARY KEY, "assetId" uuid NOT NULL, "personId" uuid, "boundingBoxX1" integer NOT NULL, "boundingBoxY1" integer NOT NULL,
  "deletedAt" timestamptz
);
CREATE INDEX "asset_face_personId_assetId_idx" ON asset_face ("personId", "assetId");
CREATE TABLE person (id uuid PRIMARY KEY, "ownerId" uuid NOT NULL, name varchar NOT NULL, "isHidden" boolean NOT NULL);
""",
    load="""
SELECT setseed(0.712);
INSERT INTO asset
SELECT md5('a' || g)::uuid, 'dev-' || g, md5('u' || o)::uuid, CASE WHEN o = 2 THEN md5('lib' || g % 3)::uuid END, CASE WHEN random() < 0.9 THEN 'IMAGE' ELSE 'VIDEO' END,
       '/usr/src/app/upload/library/' || o || '/' || to_char(t, 'YYYY/YYYY-MM-DD') || '/IMG_' || lpad((g % 10000)::text, 4, '0') || '-' || g || '.jpg',
       'IMG_' || lpad((g % 10000)::text, 4, '0') || '.jpg', sha224(g::text::bytea), random() < 0.03, random() < 0.001,
       CASE WHEN random() < 0.1 THEN md5('v' || g)::uuid END, CASE WHEN random() < 0.05 THEN md5('s' || g / 4)::uuid END,
       CASE WHEN random() < 0.01 THEN md5('d' || g / 3)::uuid END,
       (CASE WHEN random() < 0.85 THEN 'timeline' WHEN random() < 0.6 THEN 'hidden' WHEN random() < 0.95 THEN 'archive' ELSE 'locked' END)::asset_visibility,
       t, t + interval '2 hours', t + interval '1 day', CASE WHEN random() < 0.02 THEN t + interval '40 days' END
FROM (SELECT g, CASE WHEN random() < 0.75 THEN 1 WHEN random() < 0.7 THEN 2 ELSE 3 + (random() * 12)::int END AS o,
             timestamptz '2012-01-01 00:00+00' + power(random(), 0.5) * interval '13 years' AS t FROM generate_series(1, 170000) AS g OFFSET 0) AS s;
INSERT INTO person SELECT md5('p' || g)::uuid, md5('u' || 1 + g % 15)::uuid, CASE WHEN g % 5 = 0 THEN 'Person ' || g ELSE '' END, g % 9 = 0 FROM generate_series(1, 3000) AS g;
INSERT INTO asset_face
SELECT md5('f' || g)::uuid, md5('a' || (1 + (random() * 169999)::int))::uuid, CASE WHEN random() < 0.8 THEN md5('p' || (1 + (power(random(), 3) * 2999)::int))::uuid END,
       (random() * 1000)::int, (random() * 1000)::int, CASE WHEN random() < 0.01 THEN timestamptz '2025-01-01' END
FROM generate_series(1, 180000) AS g;
""",
    statements=(
        Called(
            "buckets",
            """SELECT date_trunc('MONTH', "localDateTime" AT TIME ZONE 'UTC')::date AS "timeBucket", count(*) FROM asset WHERE "deletedAt" IS NULL"""
            """ AND visibility IN ('archive', 'timeline') AND "ownerId" = {o} GROUP BY 1 ORDER BY 1 DESC""",
            (
                {"o": "e4774cdd-a079-3f86-414e-8b9140bb6db4"},
                {"o": "a6a03a32-1dfc-9ab8-5c18-6fe4b38338a2"},
            ),
            5,
        ),
        Called(
            "bucket",
            """SELECT id, type, "isFavorite", visibility, "localDateTime" FROM asset WHERE "deletedAt" IS NULL AND visibility = 'timeline'"""
            """ AND "ownerId" = {o} AND date_trunc('MONTH', "localDateTime" AT TIME ZONE 'UTC') = {m} ORDER BY "localDateTime" DESC""",
            (
                {"o": "e4774cdd-a079-3f86-414e-8b9140bb6db4", "m": "2024-06-01"},
                {"o": "4d0a87b6-3b72-90cd-6440-4e2d8098dee1", "m": "2023-02-01"},
                {"o": "270c1b08-4f3f-146e-b578-7075158d9c53", "m": "2013-05-01"},
            ),
            60,
        ),
        Called(
            "by_path",
            """SELECT id, "isOffline" FROM asset WHERE "libraryId" = {l} AND "originalPath" = {p} LIMIT 1""",
            (
                {
                    "l": "1a64425d-c154-a154-c48d-d8215d3c7c84",
                    "p": "/usr/src/app/upload/library/2/2020/2020-02-02/IMG_0001-1.jpg",
                },
                {
                    "l": "a904e1ea-ead0-e765-331a-dbc87d1b09ac",
                    "p": "/usr/src/app/upload/library/2/2021/2021-03-04/IMG_0777-777.jpg",
                },
            ),
            100,
        ),
        Called(
            "upload_check",
            """SELECT id, checksum, "deletedAt" FROM asset WHERE "ownerId" = {o} AND checksum IN (sha224({a}), sha224({b}))""",
            (
                {"o": "e4774cdd-a079-3f86-414e-8b9140bb6db4", "a": "17", "b": "x"},
                {"o": "532a7b8e-0328-a8d0-5a8e-6258b28b9a36", "a": "1234", "b": "170001"},
            ),
            100,
        ),
        Called(
            "faces",
            """SELECT f.id, f."boundingBoxX1", f."boundingBoxY1", p.name FROM asset_face f LEFT JOIN person p ON p.id = f."personId\""""
            """ WHERE f."assetId" = {a} AND f."deletedAt" IS NULL ORDER BY f."boundingBoxX1" ASC""",
            (
                {"a": "8a8bb7cd-343a-a2ad-99b7-d762030857a2"},
                {"a": "068815e0-86d6-7013-e830-0188e50513e8"},
                {"a": "01aa8a36-64ea-e2b9-c409-6700d1c55483"},
            ),
            100,
        ),
        Called(
            "people",
            """SELECT p.id, p.name, count(f."assetId") FROM person p JOIN asset_face f ON f."personId" = p.id AND f."deletedAt" IS NULL"""
            """ WHERE p."ownerId" = {o} AND NOT p."isHidden" GROUP BY p.id HAVING p.name <> '' OR count(f."assetId") >= 3"""
            """ ORDER BY NULLIF(p.name, '') ASC NULLS LAST, count(f."assetId") DESC LIMIT 50""",
            (
                {"o": "e4774cdd-a079-3f86-414e-8b9140bb6db4"},
                {"o": "7b8d62fd-2f0f-5b2e-3ba5-437e5b983128"},
            ),
            5,
        ),
        Called(
            "in_stack",
            """SELECT id, type FROM asset WHERE "stackId" = {s} AND "deletedAt" IS NULL""",
            (
                {"s": "91103e9a-f1dd-289c-91f5-5120a1c2afaf"},
                {"s": "081072e6-28e2-5239-d673-7c700857b880"},
            ),
            40,
        ),
        Called(
            "trash",
            """SELECT id, "originalPath" FROM asset WHERE "deletedAt" <= {t} ORDER BY "deletedAt" LIMIT 1000""",
            ({"t": "2012-06-01 00:00+00"}, {"t": "2013-02-01 00:00+00"}),
            5,
        ),
        Called(
            "favorite",
            """UPDATE asset SET "isFavorite" = true, "updatedAt" = {t} WHERE id = {a}""",
            ({"a": "8a8bb7cd-343a-a2ad-99b7-d762030857a2", "t": "2025-02-01"},),
            40,
        ),
    ),
    expert=(
        """CREATE INDEX ON asset ("ownerId", (date_trunc('MONTH', "localDateTime" AT TIME ZONE 'UTC'))) WHERE "deletedAt" IS NULL""",
        """CREATE INDEX ON asset ("originalPath", "libraryId")""",
        """CREATE INDEX ON asset (checksum)""",
        """CREATE INDEX ON asset ("stackId") WHERE "stackId" IS NOT NULL""",
        """CREATE INDEX ON asset ("deletedAt") WHERE "deletedAt" IS NOT NULL""",
        """CREATE INDEX ON asset_face ("assetId")""",
    ),
)
