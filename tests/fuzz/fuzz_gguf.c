/* SPDX-License-Identifier: Apache-2.0 */
/* A model file from a stranger: checked, opened, looked at, verified, and run on a text where it
 * opens. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "squeezebert/task.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("GGUF\3\0\0\0"),
    SQZT_TOKEN("\4\0\0\0"),
    SQZT_TOKEN("\5\0\0\0"),
    SQZT_TOKEN("\6\0\0\0"),
    SQZT_TOKEN("\x08\0\0\0"),
    SQZT_TOKEN("\x09\0\0\0\4\0\0\0"),
    SQZT_TOKEN("\x09\0\0\0\x08\0\0\0"),
    SQZT_TOKEN("\x0a\0\0\0"),
    SQZT_TOKEN("\x0c\0\0\0"),
    SQZT_TOKEN("\1\0\0\0\0\0\0\0"),
    SQZT_TOKEN("\0\0\0\0\0\0\0\x10"),
    SQZT_TOKEN("masked_lm"),
    SQZT_TOKEN("token"),
    SQZT_TOKEN("sequence"),
    SQZT_TOKEN("question"),
    SQZT_TOKEN("pooler"),
    SQZT_TOKEN("mean"),
    SQZT_TOKEN("none"),
    SQZT_TOKEN("$A:0"),
    SQZT_TOKEN("$B:1"),
    SQZT_TOKEN("##"),
    SQZT_TOKEN("\x1e\0\0\0"),
    SQZT_TOKEN("\x18\0\0\0"),
    SQZT_TOKEN("\x7f\x80\0\0"),
    SQZT_TOKEN("sqz."),
    SQZT_TOKEN("gelu"),
    SQZT_TOKEN("[UNK]"),
    SQZT_TOKEN("\0"),
};

/* The header ends where the last name of a tensor stands. */
static size_t header(const uint8_t *data, size_t n, sqzt_range ranges[SQZT_RANGES])
{
    enum { BEHIND_NAME = 40 };
    size_t end = 0;
    for (size_t i = 0; i + 7 <= n; i++)
        if (memcmp(data + i, ".weight", 7) == 0 || memcmp(data + i, ".bias", 5) == 0 ||
            memcmp(data + i, "verify.", 7) == 0)
            end = i;
    ranges[0] = (sqzt_range){0, end + BEHIND_NAME < n ? end + BEHIND_NAME : n};
    return 1;
}

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.structure = header,
                                                      .tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

static size_t touched;

static void look_at(const char *text)
{
    if (text) touched += strlen(text);
}

static void look(const sqz_model *model)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    const char *key, *value;
    sqz_tensor_info tensor;
    look_at(info->name);
    look_at(info->source_type);
    for (uint32_t k = 0; k < info->n_labels; k++) look_at(sqz_model_label(model, k));
    for (uint32_t i = 0; sqz_model_prompt_name(model, i); i++) {
        look_at(sqz_model_prompt_name(model, i));
        look_at(sqz_model_prompt(model, sqz_model_prompt_name(model, i)));
    }
    look_at(sqz_model_prompt(model, NULL));
    for (uint32_t i = 0; sqz_model_metadata(model, i, &key, &value); i++) {
        sqz_text text;
        look_at(key);
        look_at(value);
        for (uint32_t k = 0; k < 4 && sqz_model_text(model, key, k, &text); k++)
            for (size_t b = 0; b < text.n_bytes; b++) touched += (unsigned char)text.bytes[b];
    }
    for (uint32_t i = 0; sqz_model_tensor(model, i, &tensor); i++) {
        look_at(tensor.name);
        if (tensor.offset + tensor.bytes > info->file_bytes)
            sqzt_fuzz_breach("a tensor ends behind the file");
    }
}

/* One short text through the task of the model's head. */
static sqz_status answer(sqz_task *task, const sqz_model *model, sqz_error *error)
{
    static const char text[] = "the good [MASK] film was un7\xc3\xa9ing";
    const sqz_input input = {.text = {text, sizeof text - 1},
                             .second = {text, 8},
                             .pair = sqz_model_get_info(model)->head == SQZ_HEAD_QUESTION};
    union {
        sqz_classification classification;
        sqz_entities entities;
        sqz_answers answers;
        sqz_filled filled;
        sqz_embedding embedding;
    } result;
    switch (sqz_model_get_info(model)->head) {
    case SQZ_HEAD_SEQUENCE: return sqz_classify(task, &input, 1, 0, &result.classification, error);
    case SQZ_HEAD_TOKEN:
        return sqz_find_entities(task, &input, 1, SQZ_AGGREGATE_SIMPLE, &result.entities, error);
    case SQZ_HEAD_QUESTION:
        return sqz_answer_questions(task, &input, 1, &(sqz_answer_options){.no_answer = 1},
                                    &result.answers, error);
    case SQZ_HEAD_MASKED_LM:
        return sqz_fill_masks(task, &input, 1, &(sqz_fill_options){.top_k = 3}, &result.filled,
                              error);
    default: return sqz_embed_texts(task, &input, 1, NULL, &result.embedding, error);
    }
}

static void use(const sqz_model *model)
{
    sqz_error error = {0};
    sqz_verification verification;
    sqz_task *task = NULL;
    look(model);
    sqz_status status = sqz_model_verify(model, &verification, &error);
    const uint32_t most = sqz_model_get_info(model)->max_positions;
    const uint32_t length = most < 16 ? most : 16;
    if (length < 8) return;
    status = sqz_task_open(model, &(sqz_task_options){.max_length = length, .batch_tokens = length},
                           &task, &error);
    if (status == SQZ_OK) status = answer(task, model, &error);
    sqz_task_close(task);
    touched += status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char name[] = "model.gguf";
    sqz_error error = {0};
    sqz_model *model = NULL;
    sqzt_fuzz_write(name, data, n);
    sqzt_fuzz_begin(n);
    sqz_file_check check;
    if (sqz_model_check(sqzt_fuzz_context(), sqzt_fuzz_path(name), &check, &error) != SQZ_OK &&
        !strstr(error.text, name))
        sqzt_fuzz_breach("a check that does not name the file");
    const sqz_status status = sqz_model_open(sqzt_fuzz_context(), sqzt_fuzz_path(name), &model,
                                             &error);
    if (status == SQZ_OK) use(model);
    else if (!strstr(error.text, name)) sqzt_fuzz_breach("an error that does not name the file");
    sqz_model_close(model);
    sqzt_fuzz_end();
    return 0;
}
