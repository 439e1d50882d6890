/* SPDX-License-Identifier: Apache-2.0 */
/* --type: the model file in other types. What a file does not hold is made by sqz_quantize in a
 * folder of its own, and removed when its rows are written. */
#define _DEFAULT_SOURCE /* mkdtemp */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <squeezebert/squeeze.h>

#include "bench.h"
#include "signals.h"

static char folder[512], file[600];

/* Also in a signal's handler. */
static void remove_made(void)
{
    if (file[0]) (void)unlink(file);
    if (folder[0]) (void)rmdir(folder);
    file[0] = folder[0] = '\0';
}

static const char *parent_folder(void)
{
    const char *parent = getenv("TMPDIR");
    return parent && *parent ? parent : "/tmp";
}

static void make_folder(void)
{
    cli_at_end(remove_made);
    cli_at_signal(remove_made);
    errno = ENAMETOOLONG;
    if (snprintf(folder, sizeof folder, "%s/squeezebert.XXXXXX", parent_folder()) >=
            (int)sizeof folder ||
        !mkdtemp(folder)) {
        folder[0] = '\0';
        cli_die(cli_code(sqz_status_of_errno(errno, 1)),
                "no folder for the converted model can be made under %s: %s; TMPDIR names another "
                "place",
                parent_folder(), strerror(errno));
    }
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
        const sqz_status status =
            sqz_quantize(cli_context(), path, file,
                         &(sqz_quantize_options){.type = (sqz_quantize_type)i}, &error);
        if (status == SQZ_EOUTPUT || status == SQZ_ERESOURCE)
            cli_die(cli_code(status),
                    "%s as %s cannot be written under %s; TMPDIR names another place", path, type,
                    parent_folder());
        cli_check(status, &error);
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
