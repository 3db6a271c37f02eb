#include "models/c/gradus.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>

#include "models/text_model.hpp"
#include "text/prompt.hpp"
#include "text/tokenizer.hpp"

// The C interface. Each function is a call of `guarded`, which turns exceptions into errors.

struct gradus_model {
  gradus::TextModel model;
};
struct gradus_state {
  gradus::models::ErasedModel model;  // shared, so that a state may outlive the handle it was made from
  gradus::models::ErasedModel::State at;
};

namespace {

using gradus::TextModel;

void fill(gradus_error* error, std::int32_t code, std::string_view message) {
  if (error == nullptr) return;
  error->code = code;
  std::size_t size = std::min(message.size(), sizeof error->message - 1);
  // Not within a character of several bytes.
  while (size < message.size() && size > 0 && (static_cast<unsigned char>(message[size]) & 0xC0) == 0x80)
    --size;
  std::memcpy(error->message, message.data(), size);
  error->message[size] = '\0';
}

/// What `work` gives, or what of_failure(code) gives when it throws.
template <class Work, class Failure>
auto guarded(gradus_error* error, const Work& work, const Failure& of_failure) noexcept -> decltype(work()) {
  std::int32_t code = GRADUS_FAILED;
  try {
    return work();
  } catch (const gradus::DataError& failure) {
    fill(error, code = GRADUS_BAD_DATA, failure.what());
  } catch (const gradus::Error& failure) {
    fill(error, code = GRADUS_BAD_ARGUMENT, failure.what());
  } catch (const std::bad_alloc&) {
    fill(error, code = GRADUS_NO_MEMORY, "there is not enough memory");
  } catch (const std::exception& failure) {
    fill(error, code, failure.what());
  } catch (...) {
    fill(error, code, "something was thrown that is no exception");
  }
  return of_failure(code);
}
template <class Number>
constexpr auto as_number = [](std::int32_t code) { return Number{code}; };
template <class Pointer>
constexpr auto as_null = [](std::int32_t) { return static_cast<Pointer*>(nullptr); };

void require(bool holds, const char* what) {
  if (!holds) gradus::fail<gradus::ArgumentError>("{} is NULL", what);
}
std::string_view text_of(const char* text, std::size_t size) {
  require(text != nullptr || size == 0, "a text of some size");
  return {text, size};
}
template <class T>
std::int64_t copied(std::span<const T> from, T* to, std::size_t room) {
  require(to != nullptr || room == 0, "a pointer to some room");
  std::copy_n(from.begin(), std::min(room, from.size()), to);
  return static_cast<std::int64_t>(from.size());
}
const TextModel& of(const gradus_model* model) {
  require(model != nullptr, "the model");
  return model->model;
}
void check_ids(const gradus::models::ErasedModel& model, std::span<const std::int32_t> ids) {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= model.vocab_size())
      gradus::fail<gradus::ArgumentError>("token {} is not in 0..{}", id, model.vocab_size() - 1);
  }
}
std::span<const std::int32_t> ids_of(const std::int32_t* ids, std::size_t count) {
  require(ids != nullptr || count == 0, "a pointer to some ids");
  return {ids, count};
}

gradus::TextOptions options_of(const gradus_options* options, gradus_piece piece, void* user) {
  gradus_options given;
  gradus_default_options(&given);
  if (options != nullptr) given = *options;
  gradus::TextOptions out;
  out.max_tokens = given.max_tokens;
  out.temperature = given.temperature;
  out.top_k = given.top_k;
  out.top_p = given.top_p;
  out.min_p = given.min_p;
  out.repetition_penalty = given.repetition_penalty;
  out.seed = given.seed;
  if (given.stop != nullptr && *given.stop != '\0') out.stops.emplace_back(given.stop);
  if (piece != nullptr)
    out.stream = [=](std::string_view text) { return piece(user, text.data(), text.size()) == 0; };
  return out;
}

}  // namespace

std::int32_t gradus_c_version() {
  return GRADUS_C_VERSION;
}

gradus_model* gradus_load(const char* path, gradus_error* error) {
  return guarded(
      error,
      [&] {
        require(path != nullptr, "the path");
        return std::make_unique<gradus_model>(gradus_model{gradus::load(path)}).release();
      },
      as_null<gradus_model>);
}
void gradus_free(gradus_model* model) {
  const std::unique_ptr<gradus_model> ends(model);
}
std::int32_t gradus_vocab_size(const gradus_model* model) {
  return guarded(
      nullptr, [&] { return of(model).model().vocab_size(); }, as_number<std::int32_t>);
}
const char* gradus_kind(const gradus_model* model) {
  return guarded(
      nullptr, [&] { return of(model).kind().c_str(); }, as_null<const char>);
}

std::int64_t gradus_encode(const gradus_model* model, const char* text, std::size_t size, std::int32_t* ids,
                           std::size_t room, gradus_error* error) {
  return guarded(
      error,
      [&] {
        const auto all = gradus::prompt_ids(of(model).vocabulary(), text_of(text, size));
        return copied(std::span(all).subspan(1), ids, room);
      },
      as_number<std::int64_t>);
}
std::int64_t gradus_decode(const gradus_model* model, const std::int32_t* ids, std::size_t count, char* text,
                           std::size_t room, gradus_error* error) {
  return guarded(
      error,
      [&] {
        const std::string all = gradus::decode(of(model).vocabulary(), ids_of(ids, count));
        return copied(std::span<const char>(all), text, room);
      },
      as_number<std::int64_t>);
}

std::int32_t gradus_score(const gradus_model* model, const char* text, std::size_t size, double* log_prob,
                          gradus_error* error) {
  return guarded(
      error,
      [&] {
        require(log_prob != nullptr, "the pointer to the log-probability");
        *log_prob = of(model).log_prob(text_of(text, size));
        return std::int32_t{0};
      },
      as_number<std::int32_t>);
}
std::int64_t gradus_score_tokens(const gradus_model* model, const char* text, std::size_t size,
                                 double* log_probs, std::size_t room, gradus_error* error) {
  return guarded(
      error,
      [&] {
        const auto ids = gradus::prompt_ids(of(model).vocabulary(), text_of(text, size));
        const std::vector<double> all = gradus::models::score(of(model).model(), ids);
        return copied(std::span<const double>(all), log_probs, room);
      },
      as_number<std::int64_t>);
}

gradus_state* gradus_state_start(const gradus_model* model, gradus_error* error) {
  return guarded(
      error,
      [&] {
        const TextModel& own = of(model);
        // Behind the token that a text begins after, as gradus_score reads it.
        const auto before = gradus::with_context(own.vocabulary(), {});
        auto at =
            gradus::models::advance(own.model(), own.model().start(), std::span<const std::int32_t>(before));
        return std::make_unique<gradus_state>(gradus_state{own.model(), std::move(at)}).release();
      },
      as_null<gradus_state>);
}
gradus_state* gradus_state_copy(const gradus_state* state, gradus_error* error) {
  return guarded(
      error,
      [&] {
        require(state != nullptr, "the state");
        return std::make_unique<gradus_state>(*state).release();
      },
      as_null<gradus_state>);
}
void gradus_state_free(gradus_state* state) {
  const std::unique_ptr<gradus_state> ends(state);
}
std::int32_t gradus_state_advance(gradus_state* state, const std::int32_t* ids, std::size_t count,
                                  gradus_error* error) {
  return guarded(
      error,
      [&] {
        require(state != nullptr, "the state");
        const auto all = ids_of(ids, count);
        check_ids(state->model, all);
        state->at = gradus::models::advance(state->model, state->at, all);
        return std::int32_t{0};
      },
      as_number<std::int32_t>);
}
std::int32_t gradus_state_log_probs(const gradus_state* state, float* log_probs, gradus_error* error) {
  return guarded(
      error,
      [&] {
        require(state != nullptr && log_probs != nullptr, "the state or the room");
        const gradus::Tensor all = state->model.log_probs(state->at);
        std::copy_n(all.data<float>(), all.size(), log_probs);
        return std::int32_t{0};
      },
      as_number<std::int32_t>);
}

void gradus_default_options(gradus_options* options) {
  if (options != nullptr) *options = {100, 1, 0, 1, 0, 1, 1, nullptr};
}
std::int64_t gradus_generate(const gradus_model* model, const char* prompt, std::size_t size,
                             const gradus_options* options, gradus_piece piece, void* user, char* text,
                             std::size_t room, gradus_error* error) {
  return guarded(
      error,
      [&] {
        const std::string all = of(model).generate(text_of(prompt, size), options_of(options, piece, user));
        return copied(std::span<const char>(all), text, room);
      },
      as_number<std::int64_t>);
}
