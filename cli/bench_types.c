/* SPDX-License-Identifier: Apache-2.0 */
/* --type: the model file in other types. What a file does not hold is made by sqz_quantize in a
 * folder of its own, and removed when its rows are written. */
#define _DEFAULT_SOURCE /* mkdtemp */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <squeezebert/squeeze.h>

#include "bench.h"

static char folder[512], file[600];

static void remove_made(void)
{
    if (file[0]) (void)unlink(file);
    if (folder[0]) (void)rmdir(folder);
    file[0] = folder[0] = '\0';
}

static void make_folder(void)
{
    static bool registered;
    const char *parent = getenv("TMPDIR");
    if (snprintf(folder, sizeof folder, "%s/squeezebert.XXXXXX",
                 parent && *parent ? parent : "/tmp") >= (int)sizeof folder ||
        !mkdtemp(folder)) {
        folder[0] = '\0';
        cli_die(
            CLI_NO_RESOURCE,
            "no folder for the converted model can be made under %s; TMPDIR names another place",
            parent && *parent ? parent : "/tmp");
    }
    if (!registered) atexit(remove_made);
    registered = true;
}

const char *bench_file_of_type(const char *path, const char *type)
{
    static const char *const names[] = {
        [SQZ_QUANTIZE_S8] = "s8", [SQZ_QUANTIZE_BF16] = "bf16", [SQZ_QUANTIZE_F16] = "f16"};
    sqz_error error = {0};
    const char *own = bench_type(cli_model(path));
    cli_close();
    if (strcmp(own, type) == 0) return path;
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], type) != 0) continue;
        make_folder();
        snprintf(file, sizeof file, "%s/%s.gguf", folder, type);
        cli_check(sqz_quantize(cli_context(), path, file,
                               &(sqz_quantize_options){.type = (sqz_quantize_type)i}, &error),
                  &error);
        cli_close();
        return file;
    }
    cli_die(CLI_USAGE, "%s is %s: --type makes bf16, f16 and s8 of a float model, not %s", path,
            own, type);
}

void bench_remove_file(void)
{
    remove_made();
}
