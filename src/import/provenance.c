/* SPDX-License-Identifier: Apache-2.0 */
/* Where a model comes from: its name, its licence, languages and base models, and a digest of the
 * files of weights that were read. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sha256.h"
#include "import/folder_contents.h"
#include "import/front_matter.h"
#include "import/importer.h"
#include "text/unicode.h"

enum { NAME = 256, MOST = 128 };

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

bool sqzi_import_is_text(sqzi_span s)
{
    size_t length = 1;
    for (size_t i = 0; i < s.n; i += length) {
        const unsigned char *at = (const unsigned char *)s.bytes + i;
        if (*at < ' ' || sqzi_utf8_next(at, s.n - i, &length) == 0xFFFD) return false;
    }
    return s.n > 0;
}

/* ---- the name ---- */

/* ".../models--ORGANISATION--NAME/snapshots/..." is ORGANISATION/NAME on the Hub. */
static bool name_of_cache(const char *path, char name[NAME])
{
    const char *found = NULL;
    for (const char *at = path; (at = strstr(at, "models--")); at++)
        if ((at == path || at[-1] == '/') && strstr(at, "/snapshots")) found = at;
    if (!found) return false;
    const char *from = found + strlen("models--");
    size_t n = 0;
    while (*from && *from != '/' && n + 1 < NAME) {
        const bool dashes = from[0] == '-' && from[1] == '-';
        name[n++] = dashes ? '/' : *from;
        from += dashes ? 2 : 1;
    }
    name[n] = '\0';
    return n > 0;
}

/* Titles that tools write into every card. */
static bool is_usual_title(sqzi_span title)
{
    static const char *const usual[] = {
        "Model Card", "{",      "SentenceTransformer", "CrossEncoder",
        "SetFit",     "README", "Model card",          "[",
        "!",          "<"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        const size_t n = strlen(usual[i]);
        if (title.n >= n && memcmp(title.bytes, usual[i], n) == 0) return true;
    }
    return false;
}

static bool name_of_card(sqzi_span rest, char name[NAME])
{
    sqzi_span title;
    if (!sqzi_card_title(rest, &title)) return false;
    /* emphasis or code around the whole */
    while (title.n > 2 && strchr("*_`", title.bytes[0]) &&
           title.bytes[title.n - 1] == title.bytes[0]) {
        title.bytes++;
        title.n -= 2;
    }
    if (title.n >= NAME || is_usual_title(title) || !sqzi_import_is_text(title)) return false;
    snprintf(name, NAME, "%.*s", (int)title.n, title.bytes);
    return name[0] != '\0';
}

static void name_of_folder(const char *path, char name[NAME])
{
    const char *slash = strrchr(path, '/');
    const char *last = slash && slash[1] ? slash + 1 : path;
    snprintf(name, NAME, "%.*s", NAME - 1, strcmp(last, "/") == 0 || !*last ? "model" : last);
}

static sqz_status put_name(const sqzi_importer *m, sqzi_span rest)
{
    char path[PATH_MAX], name[NAME] = "";
    const bool real = realpath(m->folder, path) != NULL;
    if (m->options.name) {
        if (!sqzi_import_is_text(sqzi_span_of(m->options.name)))
            return sqzi_fail(m->error, SQZ_EINVAL, 0,
                             "sqz_import: the name is empty, or no UTF-8 without control "
                             "characters");
        sqzi_gguf_put_string(m->writer, "general.name", m->options.name);
        return SQZ_OK;
    }
    if (!name_of_cache(m->folder, name) && !(real && name_of_cache(path, name)) &&
        !name_of_card(rest, name))
        name_of_folder(real ? path : m->folder, name);
    if (!sqzi_import_is_text(sqzi_span_of(name))) snprintf(name, sizeof name, "model");
    sqzi_gguf_put_string(m->writer, "general.name", name);
    return SQZ_OK;
}

/* ---- the card ---- */

static void put_one(const sqzi_importer *m, sqzi_span matter, const char *theirs, const char *ours)
{
    sqzi_span value;
    if (sqzi_front_values(matter, theirs, &value, 1) && sqzi_import_is_text(value))
        sqzi_gguf_put_span(m->writer, ours, value);
}

static void put_all(const sqzi_importer *m, sqzi_span matter, const char *theirs, const char *ours)
{
    sqzi_span values[MOST];
    const size_t given = sqzi_front_values(matter, theirs, values, MOST);
    size_t n = 0;
    for (size_t i = 0; i < given; i++)
        if (sqzi_import_is_text(values[i])) values[n++] = values[i];
    if (n) sqzi_gguf_put_strings(m->writer, ours, values, n);
}

/* GGUF's general.base_model.N.name, .organization and .repo_url of "ORGANISATION/NAME". */
static void put_base_models(const sqzi_importer *m, sqzi_span matter)
{
    sqzi_span models[16];
    uint32_t n = 0;
    const size_t given = sqzi_front_values(matter, "base_model", models, 16);
    for (size_t i = 0; i < given; i++) {
        char key[64], url[NAME + 32];
        const char *slash = memchr(models[i].bytes, '/', models[i].n);
        const size_t before = slash ? (size_t)(slash - models[i].bytes) : 0,
                     skipped = slash ? before + 1 : 0;
        if (models[i].n > NAME - 32 || models[i].n == skipped || !sqzi_import_is_text(models[i]))
            continue;
        snprintf(key, sizeof key, "general.base_model.%u.name", (unsigned)n);
        sqzi_gguf_put_span(m->writer, key,
                           (sqzi_span){models[i].bytes + skipped, models[i].n - skipped});
        snprintf(key, sizeof key, "general.base_model.%u.organization", (unsigned)n);
        if (before) sqzi_gguf_put_span(m->writer, key, (sqzi_span){models[i].bytes, before});
        snprintf(key, sizeof key, "general.base_model.%u.repo_url", (unsigned)n);
        snprintf(url, sizeof url, "https://huggingface.co/%.*s", (int)models[i].n, models[i].bytes);
        sqzi_gguf_put_string(m->writer, key, url);
        n++;
    }
    if (n) sqzi_gguf_put_u32(m->writer, "general.base_model.count", n);
}

/* ---- the weights ---- */

/* The digest of every file of weights beside its name, in the order in which they were read. */
static sqz_status put_digests(const sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const sqzi_source *source = &m->source;
    const uint32_t n = source->n_shards;
    sqzi_span *spans = sqzi_allocate_zeroed(source->allocator, 2 * (size_t)n, sizeof *spans);
    char(*hex)[SQZI_SHA256_HEX] = sqzi_allocate_zeroed(source->allocator, n, sizeof *hex);
    FAIL_IF(!spans || !hex, SQZ_ENOMEM, 0, "no memory for %u digests", n);
    for (uint32_t i = 0; i < n; i++) {
        const sqzi_source_shard *shard = &source->shards[i];
        const char *slash = strrchr(shard->path, '/');
        sqzi_sha256 hash;
        sqzi_sha256_init(&hash);
        sqzi_sha256_update(&hash, shard->map.data, shard->map.bytes);
        sqzi_sha256_final(&hash, hex[i]);
        spans[i] = sqzi_span_of(hex[i]);
        spans[n + i] = sqzi_span_of(slash ? slash + 1 : shard->path);
    }
    sqzi_gguf_put_strings(m->writer, "sqz.source.sha256", spans, n);
    sqzi_gguf_put_strings(m->writer, "sqz.source.files", spans + n, n);
fail:
    sqzi_release(source->allocator, spans, 2 * (size_t)n * sizeof *spans);
    sqzi_release(source->allocator, hex, n * sizeof *hex);
    return status;
}

/* README.md of the folder, else of the Transformer's; an empty mapping where there is none. */
static sqz_status open_card(const sqzi_importer *m, sqzi_file_map *map)
{
    const char *const folders[] = {m->folder, m->transformer};
    for (int i = 0; i < 2; i++) {
        char path[SQZI_JSON_PATH];
        const sqz_status status = sqzi_join_path(folders[i], "README.md", path, m->error);
        if (status != SQZ_OK) return status;
        /* a card that cannot be read stops no import */
        if (sqzi_is_file(path) && sqzi_file_map_open(path, map, NULL) == SQZ_OK) return SQZ_OK;
    }
    return SQZ_OK;
}

sqz_status sqzi_import_provenance(sqzi_importer *m)
{
    sqzi_file_map map = {NULL, 0};
    sqz_status status = open_card(m, &map);
    if (status != SQZ_OK) return status;
    const sqzi_span card = {map.data ? (const char *)map.data : "",
                            map.bytes < SQZI_CARD_BYTES ? map.bytes : SQZI_CARD_BYTES};
    sqzi_span rest;
    const sqzi_span matter = sqzi_front_matter(card, &rest);
    status = put_name(m, rest);
    put_one(m, matter, "license", "general.license");
    put_one(m, matter, "license_name", "general.license.name");
    put_one(m, matter, "license_link", "general.license.link");
    put_all(m, matter, "language", "general.languages");
    put_all(m, matter, "tags", "general.tags");
    put_base_models(m, matter);
    if (status == SQZ_OK) status = put_digests(m);
    sqzi_file_map_close(&map);
    return status;
}
