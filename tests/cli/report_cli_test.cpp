#include <regex>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "text/synthetic.hpp"

// The page that shows training runs.

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::misused;
using gradus::test::output;
using gradus::test::read_bytes;
using gradus::test::refused;

namespace {

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t out = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++out;
  return out;
}

/// Every element that is opened is closed in its order.
void check_nesting(const std::string& page) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-zA-Z0-9]+)([^>]*)>");
  for (std::sregex_iterator at(page.begin(), page.end(), tag), end; at != end; ++at) {
    const std::string name = (*at)[2], rest = (*at)[3];
    if (name == "meta" || rest.ends_with("/")) continue;
    if ((*at)[1].length() == 0) {
      open.push_back(name);
      continue;
    }
    REQUIRE_FALSE(open.empty());
    REQUIRE(open.back() == name);
    open.pop_back();
  }
  CHECK(open.empty());
}

}  // namespace

TEST_CASE("a report has the curves, samples, embeddings and views of its runs, and needs nothing else",
          "[cli][report]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 4000).text);
  output(folder, "train text.txt --kind lstm --width 16 --layers 2 --updates 40 --out 'a<b'");
  output(folder,
         "train text.txt --kind gpt --unit bpe --subwords 300 --width 16 --heads 2 --updates 40 --out gpt");
  output(
      folder,
      "train text.txt --kind min-gru --unit character --width 16 --updates 20 --valid-share 0 --out plain");
  CHECK_THAT(output(folder, "report 'a<b' gpt plain --out all.html"), Contains("all.html"));
  const std::string page = read_bytes(folder.path() / "all.html");
  check_nesting(page);
  CHECK_THAT(page, Contains("<title>3 runs</title>") && Contains("a&lt;b") && !Contains("a<b"));
  for (const char* const title :
       {"Loss (nats a token)", "Perplexity", "Learning rate (logarithmic)", "Tokens a second"})
    CHECK(count_of(page, std::string("<text class=\"title\" x=\"64\" y=\"18\">") + title) == 1);
  CHECK(count_of(page, "Norms of gradients by part") == 2 * 3);  // a label and a title each
  CHECK(count_of(page, "<h3>Samples</h3>") == 3);
  CHECK(count_of(page, "<h3>Nearest in the embedding</h3>") == 3);
  CHECK(count_of(page, "<h3>Gates over a sentence</h3>") == 1);
  CHECK(count_of(page, "<h3>Attention over a sentence</h3>") == 1);
  CHECK(count_of(page, "layer 2, head 2</figcaption>") == 1);
  CHECK(count_of(page, "<summary>Configuration</summary>") == 3);
  // Nothing is fetched.
  for (const char* const outside : {"http:", "https:", "src=", "@import", "url(", "<script", "<link"})
    CHECK_THAT(page, !Contains(outside));
  // The numbers of the table are those of the run's files.
  const std::string metrics = read_bytes(folder.path() / "gpt" / "metrics.jsonl");
  CHECK(count_of(metrics, "\"step\":40") >= 1);
  CHECK_THAT(page, Contains("<td>40</td>"));
}

TEST_CASE("a report shows the sentence and the prompt that are given", "[cli][report]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 3000).text);
  output(folder, "train text.txt --kind gru --width 8 --updates 10 --out run");
  output(folder, "report run --prompt 'the <king>' --sentence 'the queen' --samples 2 --seed 5");
  const std::string page = read_bytes(folder.path() / "report.html");
  CHECK(count_of(page, "<b>the &lt;king&gt;</b>") == 2);
  CHECK_THAT(page, Contains("seed 5") && Contains(">queen</text>"));
  output(folder,
         "report run --prompt 'the <king>' --sentence 'the queen' --samples 2 --seed 5 --out again.html");
  const auto body = [](const std::string& all) { return all.substr(all.find("</h1>") + 100); };
  CHECK(body(read_bytes(folder.path() / "again.html")) == body(page));
  CHECK(output(folder, "report run --out -").starts_with("<!doctype html>"));
}

TEST_CASE("a report of a run that has just begun, or is damaged, shows or says so", "[cli][report]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 3000).text);
  output(folder, "train text.txt --kind gru --width 8 --updates 10 --out run");
  std::filesystem::remove(folder.path() / "run" / "model.safetensors");
  folder.write("run/metrics.jsonl", "{\"step\":1,\"loss\":2.5,\"lr\":null}\n{\"step\":2,\"lo");
  output(folder, "report run");
  CHECK_THAT(read_bytes(folder.path() / "report.html"), Contains("No model has been kept yet"));
  folder.write("run/metrics.jsonl", "");
  output(folder, "report run");
  refused(folder, "report text.txt", {"there is no run in it"});
  refused(folder, "report none", {"none", "there is no run in it"});
  refused(folder, "report run --out none/report.html", {"none"});
  folder.write("run/config.toml", "[model]\nkind = 3\n");
  refused(folder, "report run", {"config.toml, line 2"});
  misused(folder, "report", "runs");
}
