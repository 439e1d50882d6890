/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of a Hugging Face folder from a stranger. An input is a row of files, each behind a
 * line "=== NAME"; the first line "weights NAME" says whose
 * model.safetensors of tests/golden/models stands beside them, "part NAME" that it is called
 * part.safetensors, for an index to name. The program runs in the root of the source tree. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "squeezebert/import.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("null"),
    SQZT_TOKEN("true"),
    SQZT_TOKEN("false"),
    SQZT_TOKEN("{}"),
    SQZT_TOKEN("[]"),
    SQZT_TOKEN("\"\""),
    SQZT_TOKEN("-1"),
    SQZT_TOKEN("0.5"),
    SQZT_TOKEN("1e400"),
    SQZT_TOKEN("1e30"),
    SQZT_TOKEN("1152921504606846976"),
    SQZT_TOKEN("18446744073709551616"),
    SQZT_TOKEN("4294967295"),
    SQZT_TOKEN("\\u0000"),
    SQZT_TOKEN("\\ud800"),
    SQZT_TOKEN("\""),
    SQZT_TOKEN("\","),
    SQZT_TOKEN(":"),
    SQZT_TOKEN("["),
    SQZT_TOKEN("{"),
    SQZT_TOKEN("}"),
    SQZT_TOKEN("]"),
    SQZT_TOKEN("\0"),
    SQZT_TOKEN("\r\n"),
    SQZT_TOKEN("\n"),
    SQZT_TOKEN("[UNK]"),
    SQZT_TOKEN("[CLS]"),
    SQZT_TOKEN("##"),
    SQZT_TOKEN("BertProcessing"),
    SQZT_TOKEN("RobertaProcessing"),
    SQZT_TOKEN("Sequence"),
    SQZT_TOKEN("PreTrainedTokenizerFast"),
    SQZT_TOKEN("AddedToken"),
    SQZT_TOKEN("extra_special_tokens"),
    SQZT_TOKEN("added_tokens_decoder"),
    SQZT_TOKEN("NaN"),
    SQZT_TOKEN("-Infinity"),
    SQZT_TOKEN("TemplateProcessing"),
    SQZT_TOKEN("\"special\":true"),
    SQZT_TOKEN("\"normalized\":true"),
    SQZT_TOKEN("\"model_type\":\"electra\""),
    SQZT_TOKEN("distilbert"),
    SQZT_TOKEN("squeezebert"),
    SQZT_TOKEN("BertForMaskedLM"),
    SQZT_TOKEN("ForTokenClassification"),
    SQZT_TOKEN("multi_label_classification"),
    SQZT_TOKEN("regression"),
    SQZT_TOKEN("1_Pooling"),
    SQZT_TOKEN("\"pooling_mode\":[\"cls\"]"),
    SQZT_TOKEN("\"pooling_mode_max_tokens\":true"),
    SQZT_TOKEN("torch.nn.modules.activation.Tanh"),
    SQZT_TOKEN("sentence_transformers.models.Dense"),
    SQZT_TOKEN("\"out_features\":"),
    SQZT_TOKEN("---\n"),
    SQZT_TOKEN("\n- "),
    SQZT_TOKEN("\n# "),
    SQZT_TOKEN("base_model: "),
    SQZT_TOKEN("../"),
    SQZT_TOKEN("\xff"),
    SQZT_TOKEN("\n=== vocab.txt\n"),
};

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

static const char *const names[] = {"config.json",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "vocab.txt",
                                    "modules.json",
                                    "sentence_bert_config.json",
                                    "config_sentence_transformers.json",
                                    "1_Pooling/config.json",
                                    "2_Dense/config.json",
                                    "2_Dense/model.safetensors",
                                    "3_LayerNorm/config.json",
                                    "3_LayerNorm/model.safetensors",
                                    "README.md",
                                    "model.safetensors.index.json"};
static const char *const folders[] = {"1_Pooling", "2_Dense", "3_LayerNorm"};
enum { N_NAMES = sizeof names / sizeof *names, N_FOLDERS = sizeof folders / sizeof *folders };

static const uint8_t *end_of_line(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
    return line ? line + 1 : end;
}

static bool begins(const uint8_t *at, const uint8_t *end, const char *text)
{
    return (size_t)(end - at) >= strlen(text) && memcmp(at, text, strlen(text)) == 0;
}

/* The file goes where its name says; one that ends in weights has a line's end behind them, which
 * is not part of it. */
static void put_file(const uint8_t *name, const uint8_t *end_of_name, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < N_NAMES; i++)
        if ((size_t)(end_of_name - name) == strlen(names[i]) + 1 &&
            begins(name, end_of_name, names[i]))
            sqzt_fuzz_write(names[i], data,
                            strstr(names[i], ".safetensors") && n && data[n - 1] == '\n' ? n - 1
                                                                                         : n);
}

static void put_weights(const char *as, const uint8_t *name, const uint8_t *end)
{
    char root[512], target[1024];
    const size_t n = (size_t)(end - name);
    const bool plain = n > 0 && n < 40 && !memchr(name, '/', n) && !memchr(name, '\0', n) &&
                       getcwd(root, sizeof root);
    snprintf(target, sizeof target, "%s/tests/golden/models/%.*s/model.safetensors", root,
             plain ? (int)n : 0, plain ? (const char *)name : "");
    if (plain && symlink(target, sqzt_fuzz_path(as)) != 0) sqzt_fuzz_breach("cannot make a link");
}

static void lay_out(const uint8_t *data, size_t n)
{
    const uint8_t *at = data, *end = data + n;
    static bool made;
    for (size_t i = 0; i < N_FOLDERS && !made; i++)
        if (mkdir(sqzt_fuzz_path(folders[i]), 0700) != 0) sqzt_fuzz_breach("cannot make a folder");
    made = true;
    for (size_t i = 0; i < N_NAMES; i++) sqzt_fuzz_remove(names[i]);
    const uint8_t *line = end_of_line(at, end),
                  *end_of_name = line > at && line[-1] == '\n' ? line - 1 : line;
    sqzt_fuzz_remove("model.safetensors");
    sqzt_fuzz_remove("part.safetensors");
    if (begins(at, end, "weights ")) put_weights("model.safetensors", at + 8, end_of_name);
    if (begins(at, end, "part ")) put_weights("part.safetensors", at + 5, end_of_name);
    while (at < end) {
        if (!begins(at, end, "=== ")) {
            at = end_of_line(at, end);
            continue;
        }
        const uint8_t *body = end_of_line(at, end), *next = body;
        while (next < end && !begins(next, end, "=== ")) next = end_of_line(next, end);
        put_file(at + 4, body, body, (size_t)(next - body));
        at = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { WEIGHTS_BYTES = 1 << 15 };
    sqz_error error = {0};
    lay_out(data, n);
    char *output = strdup(sqzt_fuzz_path("output.gguf"));
    if (!output) abort();
    sqzt_fuzz_begin(n + WEIGHTS_BYTES);
    const sqz_status status = sqz_import(sqzt_fuzz_context(), sqzt_fuzz_path("."), output, NULL,
                                         &error);
    sqzt_fuzz_end();
    if (status != SQZ_OK && (error.code != status || !error.text[0]))
        sqzt_fuzz_breach("an error without a text");
    if ((status == SQZ_OK) != (access(output, F_OK) == 0))
        sqzt_fuzz_breach("a file where none should be, or none where one should");
    (void)remove(output);
    free(output);
    return 0;
}
