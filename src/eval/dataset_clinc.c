/* SPDX-License-Identifier: Apache-2.0 */
/* CLINC's JSON: {"train": [[text, class], ...], "oos_val": ...}. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "data/json_text.h"
#include "eval/dataset_reader.h"

enum { PORTION = 1 << 16, MOST_BYTES = 1 << 28 };

static sqz_status read_all(const sqz_rows_source *source, sqzi_buffer *bytes, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (ptrdiff_t got = 1; got > 0; bytes->used += (size_t)(got > 0 ? got : 0)) {
        TRY(sqzi_buffer_reserve(bytes, PORTION, error));
        got = source->read(source->user, bytes->data + bytes->used, PORTION);
        FAIL_IF(got < 0, sqz_status_of_errno(errno, 0), 0, "%s: cannot read: %s", source->name,
                strerror(errno));
    }
fail:
    return status;
}

static sqz_text text_of(const json_t *string)
{
    return (sqz_text){json_string_value(string), json_string_length(string)};
}

static sqz_status read_item(sqz_dataset *dataset, const json_t *item, const char *member,
                            size_t number, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const json_t *text = json_array_get(item, 0), *label = json_array_get(item, 1);
    sqz_example e = {.line = number};
    FAIL_IF(json_array_size(item) != 2 || !json_is_string(text) || !json_is_string(label) ||
                !json_string_length(label),
            SQZ_EFORMAT, number, "%s: item %zu of \"%s\" is not [text, class]", dataset->name,
            number, member);
    TRY(sqzi_dataset_keep(dataset, text_of(text), &e.input.text, error));
    TRY(sqzi_dataset_class_of(dataset, text_of(label), number, &e.label, error));
    TRY(sqzi_dataset_add(dataset, &e, error));
fail:
    return status;
}

static sqz_status read_member(sqz_dataset *dataset, const json_t *root, const char *member,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const json_t *list = json_object_get(root, member);
    FAIL_IF(!json_is_array(list), SQZ_EFORMAT, 0,
            "%s: has no array \"%s\", as CLINC's files have: train, val, test, oos_train, oos_val, "
            "oos_test",
            dataset->name, member);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_item(dataset, json_array_get(list, i), member, i + 1, error));
fail:
    return status;
}

sqz_status sqzi_dataset_read_clinc(sqz_dataset *dataset, const sqz_rows_source *source,
                                   const char *split, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t spare = SQZI_JSON_SPARE;
    json_t *root = NULL;
    char member[64];
    sqzi_buffer bytes = {.allocator = dataset->allocator, .limit = MOST_BYTES};
    TRY(read_all(source, &bytes, error));
    TRY(sqzi_json_parse((sqzi_json_text){dataset->name, bytes.data, bytes.used, bytes.used, true},
                        &spare, &root, error));
    FAIL_IF(!json_is_object(root), SQZ_EFORMAT, 0, "%s: is no JSON object: it is another value",
            dataset->name);
    for (const char *at = split ? split : "train"; at; at = *at ? at + 1 : NULL) {
        const size_t n = strcspn(at, "+");
        FAIL_IF(!n || n >= sizeof member, SQZ_EINVAL, 0,
                "a split of CLINC's JSON is a member's name, or several with + between: '%.60s'",
                split);
        memcpy(member, at, n);
        member[n] = '\0';
        TRY(read_member(dataset, root, member, error));
        at += n;
        if (!*at) break;
    }
fail:
    json_decref(root);
    sqzi_buffer_free(&bytes);
    return status;
}
