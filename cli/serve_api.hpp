#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <string>
#include <string_view>

#include "models/generation_queue.hpp"
#include "models/text_model.hpp"

namespace gradus::cli {

/// What `gradus serve` answers, as JSON; without HTTP, which cli/serve.cpp has. Several threads may ask.
class ServeApi {
 public:
  using Clock = models::GenerationQueue::Clock;
  struct Limits {
    std::int64_t tokens = 4096;    // of a text that is generated
    std::int64_t texts = 64;       // of one request
    std::size_t details = 20'000;  // tokens that are listed
    // States and edges of a regular expression; and those times the vocabulary, all of which is tried.
    std::size_t expression = 2000, expression_work = 20'000'000;
    std::size_t expression_bytes = 10'000;
    std::size_t stops = 16, stop_bytes = 1000;
    std::size_t prompts = std::size_t{1} << 21;  // tokens of a prompt, times the texts behind it
    std::chrono::seconds time{120};              // for one request
    models::GenerationQueue::Options queue{};
  };

  ServeApi(models::TrainedModel trained, std::string name, const Limits& limits);

  /// The model, and what can be asked.
  nlohmann::json about() const;
  /// These throw ArgumentError or DataError, naming the member, for a request that cannot be answered, and
  /// UnavailableError for want of time.
  nlohmann::json score(std::string_view body);
  nlohmann::json next(std::string_view body);

  /// A text that is being written for a client, piece by piece. Without its client it ends.
  class Stream {
   public:
    Stream(Stream&&) = default;
    Stream& operator=(Stream&&) = default;
    ~Stream() {
      if (text_) text_->cancel();
    }
    /// Calls `show` with each piece of text as it comes, and then `end` once, with what is known then; false
    /// from either, and `gone`, which is asked about once a second, end the text. Throws what generating
    /// threw.
    void run(const std::function<bool(std::string_view)>& show,
             const std::function<bool(nlohmann::json)>& end, const std::function<bool()>& gone);

   private:
    friend class ServeApi;
    Stream() = default;
    ServeApi* api_ = nullptr;
    std::vector<std::string> stops_;
    std::shared_ptr<const models::Constraint> constraint_;
    std::shared_ptr<models::GenerationQueue::Text> text_;
    std::int64_t most_ = 0;
    Clock::time_point until_;
  };
  /// The texts of a request, in order, and whether its client wants them piece by piece (then there is one).
  /// Empty where too many wait already.
  struct Generation {
    std::vector<Stream> texts;
    bool streamed = false;
  };
  Generation generate(std::string_view body);

  /// Ends all texts that are being written or scored, and refuses others.
  void close();

 private:
  class Turn;

  /// Throws UnavailableError when it is `until`, or the server ends; `what` says what is too long.
  void check_time(Clock::time_point until, const char* what) const;
  models::GenerateOptions options_of(class RequestFields& fields, std::vector<std::string>& stops);

  TextModel model_;
  std::string name_;
  Limits limits_;
  models::GenerationQueue queue_;
  std::atomic<bool> closed_ = false;
  // Scores are computed in their clients' threads, a few at a time.
  std::counting_semaphore<64> turns_{2};
};

}  // namespace gradus::cli
