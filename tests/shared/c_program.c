/* Uses the C interface as a program in C does. Usage: c_program MODEL */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/c/gradus.h"

static int failures = 0;
#define CHECK(holds)                                             \
  do {                                                           \
    if (!(holds)) {                                              \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds); \
      ++failures;                                                \
    }                                                            \
  } while (0)

struct pieces {
  char text[4096];
  size_t size;
  int32_t calls, limit;
};
static int32_t collect(void* user, const char* piece, size_t size) {
  struct pieces* to = user;
  memcpy(to->text + to->size, piece, size);
  to->size += size;
  return ++to->calls == to->limit;
}

static void check_errors(const gradus_model* model) {
  gradus_error error = {0, ""};
  double log_prob = 7;
  const int32_t wrong = 1 << 30;
  gradus_state* state = gradus_state_start(model, &error);
  CHECK(gradus_load("no/such/model", &error) == NULL && error.code == GRADUS_BAD_DATA);
  CHECK(strstr(error.message, "no/such/model") != NULL);
  CHECK(gradus_load(NULL, &error) == NULL && error.code == GRADUS_BAD_ARGUMENT);
  CHECK(gradus_load("no/such/model", NULL) == NULL);
  CHECK(gradus_score(model, "the \xFF king\n", 11, &log_prob, &error) == GRADUS_BAD_DATA && log_prob == 7);
  CHECK(strstr(error.message, "UTF-8") != NULL);
  CHECK(gradus_score(NULL, "the", 3, &log_prob, &error) == GRADUS_BAD_ARGUMENT);
  CHECK(gradus_score(model, NULL, 3, &log_prob, &error) == GRADUS_BAD_ARGUMENT);
  CHECK(gradus_state_advance(state, &wrong, 1, &error) == GRADUS_BAD_ARGUMENT);
  CHECK(gradus_vocab_size(NULL) < 0 && gradus_kind(NULL) == NULL);
  gradus_state_free(state);
  gradus_state_free(NULL);
  gradus_free(NULL);
}

static void check_states(const gradus_model* model, const int32_t* ids, int64_t count, double log_prob) {
  gradus_error error;
  const int32_t vocab = gradus_vocab_size(model);
  float* next = malloc((size_t)vocab * sizeof *next);
  gradus_state* state = gradus_state_start(model, &error);
  double sum = 0, total = 0;
  for (int64_t i = 0; i < count; ++i) {
    CHECK(gradus_state_log_probs(state, next, &error) == 0);
    sum += next[ids[i]];
    gradus_state* other = gradus_state_copy(state, &error);
    CHECK(gradus_state_advance(other, ids, (size_t)count, &error) == 0); /* which changes nothing here */
    gradus_state_free(other);
    CHECK(gradus_state_advance(state, ids + i, 1, &error) == 0);
  }
  CHECK(fabs(sum - log_prob) < 1e-3);
  CHECK(gradus_state_log_probs(state, next, &error) == 0);
  for (int32_t i = 0; i < vocab; ++i) total += exp(next[i]);
  CHECK(fabs(total - 1) < 1e-4);
  gradus_state_free(state);
  free(next);
}

int main(int argc, char** argv) {
  gradus_error error;
  gradus_model* model = gradus_load(argc > 1 ? argv[1] : "", &error);
  if (model == NULL) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  CHECK(gradus_c_version() == GRADUS_C_VERSION);
  CHECK(strcmp(gradus_kind(model), "ngram") == 0);
  const char* const text = "the king sees the queen .\n";
  int32_t ids[64];
  double each[64], log_prob = 0, sum = 0;
  char back[64];
  const int64_t count = gradus_encode(model, text, strlen(text), ids, 64, &error);
  CHECK(count == 7);
  CHECK(gradus_encode(model, text, strlen(text), NULL, 0, &error) == 7);
  CHECK(gradus_decode(model, ids, 7, back, sizeof back, &error) == (int64_t)strlen(text));
  CHECK(memcmp(back, text, strlen(text)) == 0);
  CHECK(gradus_score(model, text, strlen(text), &log_prob, &error) == 0);
  CHECK(gradus_score_tokens(model, text, strlen(text), each, 64, &error) == 7);
  for (int i = 0; i < 7; ++i) sum += each[i];
  CHECK(fabs(sum - log_prob) < 1e-9 && log_prob < 0);
  check_states(model, ids, count, log_prob);

  gradus_options options;
  gradus_default_options(&options);
  options.max_tokens = 30;
  options.seed = 5;
  struct pieces all = {.limit = 0}, few = {.limit = 3};
  char room[4096], again[4096];
  const int64_t size = gradus_generate(model, "the king", 8, &options, collect, &all, room, sizeof room, &error);
  CHECK(size > 0 && (size_t)size == all.size && memcmp(room, all.text, all.size) == 0);
  CHECK(gradus_generate(model, "the king", 8, &options, NULL, NULL, again, sizeof again, &error) == size);
  CHECK(memcmp(room, again, (size_t)size) == 0);
  gradus_generate(model, "the king", 8, &options, collect, &few, NULL, 0, &error);
  CHECK(few.calls == 3 && few.size < all.size);
  options.temperature = -1;
  CHECK(gradus_generate(model, "the", 3, &options, NULL, NULL, NULL, 0, &error) == GRADUS_BAD_ARGUMENT);
  check_errors(model);
  gradus_free(model);
  if (failures == 0) printf("the C interface does what it says\n");
  return failures == 0 ? 0 : 1;
}
