/* Trained language models from C, and from what calls C. It is in the shared library (libgradus) and in the static ones.
 *
 *   gradus_error error;
 *   gradus_model* model = gradus_load("book", &error);
 *   if (model == NULL) { fprintf(stderr, "%s\n", error.message); return 1; }
 *   double log_prob;
 *   gradus_score(model, "the end .\n", 10, &log_prob, &error);
 *   gradus_free(model);
 *
 * No exception and no signal leaves these functions. Those that can fail take a gradus_error, or NULL, and fill it in when
 * they do: they return NULL or a negative number then. Texts are UTF-8 with their size in bytes, unless the model is one of
 * bytes; they need no zero at the end and get none. Log-probabilities are in nats. Threads may share a model; a state
 * belongs to one thread at a time. Pointers that are marked as optional may be NULL, others not. */
#ifndef GRADUS_H
#define GRADUS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header; a library of another version number has another interface. */
#define GRADUS_C_VERSION 1
int32_t gradus_c_version(void);

enum {
  GRADUS_BAD_ARGUMENT = -1, /* what was given is not possible */
  GRADUS_BAD_DATA = -2,     /* a file or a text is not what it should be */
  GRADUS_NO_MEMORY = -3,
  GRADUS_FAILED = -4 /* anything else */
};
typedef struct gradus_error {
  int32_t code;      /* one of these */
  char message[500]; /* a sentence with a zero at the end, cut short where it is longer */
} gradus_error;

typedef struct gradus_model gradus_model;
/* Any model that `gradus train` or `gradus ngram` wrote, an ARPA file, the folder of a run, or one with Hugging Face's files
 * of a GPT-2 or Llama. gradus_free ends it, and does nothing for NULL; its states may live on. */
gradus_model* gradus_load(const char* path, gradus_error* error);
void gradus_free(gradus_model* model);

int32_t gradus_vocab_size(const gradus_model* model);
/* "lstm", "ngram" and so on; as long as the model lives. */
const char* gradus_kind(const gradus_model* model);

/* The ids of a text, and the text of ids. Each returns how many there are, and writes as many of them as the room allows: a
 * call with room 0 (and the pointer NULL) asks how much is needed. */
int64_t gradus_encode(const gradus_model* model, const char* text, size_t size, int32_t* ids, size_t room,
                      gradus_error* error);
int64_t gradus_decode(const gradus_model* model, const int32_t* ids, size_t count, char* text, size_t room,
                      gradus_error* error);

/* The log-probability of a text as the first that is read: 0 when it could be computed. Then of each of its tokens, which
 * gradus_encode gives: their number is returned, and as many are written as the room allows. */
int32_t gradus_score(const gradus_model* model, const char* text, size_t size, double* log_prob, gradus_error* error);
int64_t gradus_score_tokens(const gradus_model* model, const char* text, size_t size, double* log_probs, size_t room,
                            gradus_error* error);

/* What a model has read. A state begins where a text does; it is advanced by ids, and a copy goes its own way. */
typedef struct gradus_state gradus_state;
gradus_state* gradus_state_start(const gradus_model* model, gradus_error* error);
gradus_state* gradus_state_copy(const gradus_state* state, gradus_error* error);
void gradus_state_free(gradus_state* state);
int32_t gradus_state_advance(gradus_state* state, const int32_t* ids, size_t count, gradus_error* error);
/* The log-probability of every token as the next one: gradus_vocab_size numbers. */
int32_t gradus_state_log_probs(const gradus_state* state, float* log_probs, gradus_error* error);

typedef struct gradus_options {
  int64_t max_tokens;
  double temperature; /* 1: the model's probabilities; 0: always the likeliest token */
  int64_t top_k;      /* 0: of all tokens */
  double top_p;       /* 1: of all */
  double min_p;       /* 0: of all */
  double repetition_penalty; /* 1: none */
  uint64_t seed;
  const char* stop; /* optional: the text ends before this, with a zero at its end */
} gradus_options;
/* What leaves the model's probabilities as they are, with at most 100 tokens and the seed 1. */
void gradus_default_options(gradus_options* options);
/* Is given a text piece by piece; anything but 0 ends it. It must not throw. */
typedef int32_t (*gradus_piece)(void* user, const char* piece, size_t size);
/* Writes on from a prompt; the same seed gives the same text. The text goes to `piece` (optional) as it is written. Returns
 * its size in bytes, and writes it as far as the room allows. `options` is optional. */
int64_t gradus_generate(const gradus_model* model, const char* prompt, size_t size, const gradus_options* options,
                        gradus_piece piece, void* user, char* text, size_t room, gradus_error* error);

#ifdef __cplusplus
}
#endif

#endif
