/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L /* strncasecmp */
#include "import/folder_contents.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"

bool sqzi_starts_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool sqzi_ends_with(const char *text, const char *ending)
{
    const size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

bool sqzi_is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

bool sqzi_is_file(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
}

size_t sqzi_folder_count(const char *folder, const char *beginning, const char *ending,
                         char first[SQZI_FILE_NAME])
{
    size_t n = 0;
    DIR *entries = opendir(folder);
    if (!entries) return 0;
    for (const struct dirent *entry; (entry = readdir(entries));) {
        const char *name = entry->d_name;
        if (name[0] == '.' || strlen(name) >= SQZI_FILE_NAME ||
            !sqzi_starts_with(name, beginning) || !sqzi_ends_with(name, ending))
            continue;
        if (first && (n == 0 || strcmp(name, first) < 0))
            snprintf(first, SQZI_FILE_NAME, "%s", name);
        n++;
    }
    closedir(entries);
    return n;
}

static bool begins(const unsigned char *data, size_t bytes, const char *with)
{
    const size_t n = strlen(with);
    return bytes >= n && strncasecmp((const char *)data, with, n) == 0;
}

const char *sqzi_foreign_weights(const unsigned char *data, size_t bytes)
{
    if (begins(data, bytes, "<!doctype html") || begins(data, bytes, "<html"))
        return "a web page, not weights: download the file itself";
    if (begins(data, bytes, "\x89HDF"))
        return "an HDF5 file (TensorFlow, Keras) under another name: save the model in PyTorch or "
               "safetensors";
    if (begins(data, bytes, "GGUF"))
        return "a GGUF file under another name: it is no part of a Hugging Face folder";
    return NULL;
}

/* In the order in which a folder without weights is told what it has. */
static const struct {
    const char *beginning, *ending, *what;
} foreign[] = {
    {"adapter_model", "",
     "an adapter without its model: merge it into the model (PEFT's merge_and_unload) and save "
     "that"},
    {"", ".onnx",
     "an ONNX model, whose layers have lost their names: import the folder that it was made from, "
     "with model.safetensors or pytorch_model.bin"},
    {"onnx", "",
     "for ONNX, whose layers have lost their names: get the model's model.safetensors or "
     "pytorch_model.bin"},
    {"openvino", "",
     "an OpenVINO model, whose layers have lost their names: get the model's model.safetensors or "
     "pytorch_model.bin"},
    {"", ".h5",
     "TensorFlow's: load the folder with Transformers 4 (from_tf=True) and save it, or get the "
     "model's model.safetensors"},
    {"saved_model.pb", "",
     "TensorFlow's: load the model with Transformers 4 (from_tf=True) and save it, or get the "
     "model's model.safetensors"},
    {"", ".msgpack",
     "Flax's: load the folder with Transformers 4 (from_flax=True) and save it, or get the model's "
     "model.safetensors"},
    {"", ".ckpt.index",
     "a checkpoint of TensorFlow 1: convert it with Transformers 4 "
     "(load_tf_weights_in_bert, save_pretrained), or get the same model as a Hugging Face folder"},
    {"", ".ckpt.meta",
     "a checkpoint of TensorFlow 1: convert it with Transformers 4 "
     "(load_tf_weights_in_bert, save_pretrained), or get the same model as a Hugging Face folder"},
    {"", ".tflite", "a TensorFlow Lite model: get the model's model.safetensors"},
    {"", ".mlmodel", "a Core ML model: get the model's model.safetensors"},
    {"", ".mlpackage", "a Core ML model: get the model's model.safetensors"},
    {"", ".ot", "rust-bert's: get the model's model.safetensors or pytorch_model.bin"},
    {"", ".gguf", "a model file of GGUF already, which needs no import where it is ours"},
    {"", ".zip", "an archive: unpack it and import the folder"},
    {"", ".tar.gz", "an archive: unpack it and import the folder"},
    {"", ".tgz", "an archive: unpack it and import the folder"},
};
enum { N_FOREIGN = sizeof foreign / sizeof *foreign };

const char *sqzi_foreign_file(const char *name)
{
    for (int i = 0; i < N_FOREIGN; i++)
        if (sqzi_starts_with(name, foreign[i].beginning) &&
            sqzi_ends_with(name, foreign[i].ending) && strcmp(name, "onnx") != 0)
            return foreign[i].what;
    return NULL;
}

/* What a trainer keeps beside the weights. */
static bool of_a_trainer(const char *name)
{
    return strcmp(name, "training_args.bin") == 0 || strcmp(name, "optimizer.pt") == 0 ||
           strcmp(name, "optimizer.bin") == 0 || strcmp(name, "scheduler.pt") == 0 ||
           sqzi_starts_with(name, "rng_state");
}

sqz_status sqzi_fail_no_weights(const char *folder, sqz_error *error)
{
    /* weights of another name, which can be given by it */
    static const char *const endings[] = {".safetensors", ".bin", ".pt", ".pth", ".ckpt"};
    static const char none[] =
        "holds neither model.safetensors nor pytorch_model.bin, nor an index of their parts";
    char name[SQZI_FILE_NAME];
    for (int i = 0; i < N_FOREIGN; i++)
        if (sqzi_folder_count(folder, foreign[i].beginning, foreign[i].ending, name))
            return sqzi_fail(error, SQZ_EIO, 0, "%s %s; its '%s' is %s", folder, none, name,
                             foreign[i].what);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (sqzi_folder_count(folder, "", endings[i], name) && !of_a_trainer(name))
            return sqzi_fail(error, SQZ_EIO, 0,
                             "%s %s; where its weights are in '%s', give that file instead of the "
                             "folder",
                             folder, none, name);
    return sqzi_fail(error, SQZ_EIO, 0, "%s %s: download the weights as well", folder, none);
}
