#include "cli/report_page.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <numeric>

#include "cli/charts.hpp"
#include "models/inspect.hpp"
#include "models/kinds.hpp"
#include "models/text_model.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/decompositions.hpp"
#include "text/prompt.hpp"
#include "text/tokenizer.hpp"

namespace gradus::cli {

namespace {

using Points = std::vector<std::pair<double, double>>;

constexpr std::string_view style = R"css(
:root { --page: #fcfcfb; --ink: #1c1d1f; --soft: #63666b; --rule: #dcdedf; --box: #f3f3f1; --mark: #1f5fa8;
  --c0: #1f5fa8; --c1: #c2571a; --c2: #2e7d4f; --c3: #8a3ea8; --c4: #a88a10; --c5: #b02a50; --c6: #1a8a94; --c7: #6b6f76; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181b; --ink: #e6e7e8; --soft: #9ba0a6; --rule: #34383d; --box: #1f2226; --mark: #6fb1f5;
    --c0: #6fb1f5; --c1: #f2995c; --c2: #6fcf97; --c3: #cf8ff0; --c4: #e3c550; --c5: #f2789c; --c6: #5fd0da; --c7: #a5abb3; } }
@media print { :root { --page: #fff; --ink: #000; --box: #fff; } figure, table, section.run > div { break-inside: avoid; }
  details { display: none; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 16px 64px; max-width: 1120px; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 4px; } h2 { font-size: 1.3rem; margin: 44px 0 10px; padding-top: 14px; border-top: 1px solid var(--rule); }
h3 { font-size: 1.02rem; margin: 26px 0 8px; } p { margin: 6px 0; max-width: 75ch; } .soft, figcaption { color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 14px 4px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; font-size: 0.86rem; } th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.text { white-space: normal; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); gap: 14px; }
figure { margin: 0; min-width: 0; } .chart { background: var(--box); border-radius: 8px; padding: 8px 10px 6px; }
.chart svg { width: 100%; height: auto; display: block; } .wide { margin: 8px 0; } .maps { display: flex; flex-wrap: wrap; gap: 18px; }
.map { overflow-x: auto; } .map svg { display: block; max-width: none; }
figcaption { font-size: 0.86rem; } text { fill: var(--ink); font-size: 12px; } text.title { font-size: 14px; font-weight: 600; }
text.tick { fill: var(--soft); font-size: 11px; } text.name { font-size: 11px; }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; }
.cell { fill: var(--mark); }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
.c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); } .c6 { stroke: var(--c6); } .c7 { stroke: var(--c7); }
.dot.c0 { fill: var(--c0); } .dot.c1 { fill: var(--c1); } .dot.c2 { fill: var(--c2); } .dot.c3 { fill: var(--c3); }
.legend { list-style: none; margin: 4px 0 2px; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 0.84rem; }
.key { width: 24px !important; height: 8px !important; display: inline-block !important; margin-right: 6px; vertical-align: middle; }
pre, .sample { background: var(--box); border-radius: 8px; padding: 10px 14px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 0.88rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; margin: 6px 0; } .sample b { color: var(--soft); font-weight: 400; }
summary { cursor: pointer; margin-top: 20px; }
)css";

/// The values of a number over the updates.
Points points_of(const ReportedRun& run, std::string_view name) {
  Points out;
  for (const models::MetricsLine& line : run.metrics) {
    for (const auto& [key, value] : line.numbers) {
      if (key == name) out.emplace_back(static_cast<double>(line.step), value);
    }
  }
  return out;
}

double last_of(const ReportedRun& run, std::string_view name) {
  const Points all = points_of(run, name);
  return all.empty() ? std::nan("") : all.back().second;
}

std::string cell(double value, int digits) {
  return std::isfinite(value) ? fmt::format("<td>{:.{}f}</td>", value, digits)
                              : std::string("<td>&ndash;</td>");
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "&ndash;";
  const auto all = std::llround(seconds);
  if (all < 120) return fmt::format("{} s", all);
  return all < 7200 ? fmt::format("{} min {:02} s", all / 60, all % 60)
                    : fmt::format("{} h {:02} min", all / 3600, all / 60 % 60);
}

/// A row for each run.
std::string summary(const std::vector<ReportedRun>& runs) {
  std::string out =
      "<div class=\"scroll\"><table><thead><tr><th>run</th><th class=\"text\">model</th><th>parameters</th>"
      "<th>updates</th><th>tokens</th><th>time</th><th>tokens a second</th><th>last training perplexity</th>"
      "<th>best validation perplexity</th></tr></thead><tbody>\n";
  for (const ReportedRun& run : runs) {
    const Points valid = points_of(run, "valid_loss");
    double best = std::nan("");
    for (const auto& [step, loss] : valid) best = std::isnan(best) ? loss : std::min(best, loss);
    const double tokens = last_of(run, "tokens"), seconds = last_of(run, "seconds");
    out += fmt::format("<tr><td>{}</td><td class=\"text\">{}, {}s</td>", html(run.name),
                       html(run.config.model.kind), html(run.config.data.unit));
    out += run.model ? fmt::format("<td>{}</td>", run.model->network->parameters()) : "<td>&ndash;</td>";
    out += fmt::format("<td>{}</td>", run.metrics.empty() ? 0 : run.metrics.back().step);
    out += cell(tokens, 0) + fmt::format("<td>{}</td>", duration(seconds)) + cell(tokens / seconds, 0) +
           cell(std::exp(last_of(run, "loss")), 2) + cell(std::exp(best), 2) + "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

/// The curves of all runs, a colour each.
std::string curves(const std::vector<ReportedRun>& runs) {
  std::vector<Line> losses, perplexities, rates, speeds, norms;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ReportedRun& run = runs[i];
    const auto add = [&](std::vector<Line>& to, const std::string& name, std::string_view key, bool dashed) {
      to.push_back({name, i, dashed, points_of(run, key)});
    };
    add(losses, run.name + ", training", "loss", true);
    add(losses, run.name + ", validation", "valid_loss", false);
    add(perplexities, run.name + ", training", "perplexity", true);
    add(perplexities, run.name + ", validation", "valid_perplexity", false);
    add(rates, run.name, "lr", false);
    add(speeds, run.name, "tokens_per_second", false);
    add(norms, run.name, "gradient_norm", false);
  }
  return "<div class=\"charts\">\n" + line_chart("Loss (nats a token)", "updates", losses) +
         line_chart("Perplexity (logarithmic)", "updates", perplexities, true) +
         line_chart("Learning rate (logarithmic)", "updates", rates, true) +
         line_chart("Norm of all gradients, before clipping (logarithmic)", "updates", norms, true) +
         line_chart("Tokens a second", "updates", speeds) + "</div>\n";
}

/// The norms of a run by the parts of its network.
std::string norms_by_part(const ReportedRun& run) {
  constexpr std::string_view prefix = "gradient_norm/";
  std::vector<std::string> parts;
  for (const models::MetricsLine& line : run.metrics) {
    for (const auto& [key, value] : line.numbers) {
      if (key.starts_with(prefix) && std::ranges::find(parts, key) == parts.end()) parts.push_back(key);
    }
  }
  std::vector<Line> lines;
  for (const std::string& part : parts)
    lines.push_back({part.substr(prefix.size()), lines.size(), lines.size() >= 8, points_of(run, part)});
  const std::string chart = line_chart("Norms of gradients by part (logarithmic)", "updates", lines, true);
  return chart.empty() ? "" : "<div class=\"charts\">\n" + chart + "</div>\n";
}

/// The tokens that have been seen most often, those first.
std::vector<std::int32_t> frequent(const Vocabulary& v, std::size_t count) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(v.size()));
  std::iota(ids.begin(), ids.end(), 0);
  std::erase_if(ids, [&](std::int32_t id) { return id == v.unknown() || v.symbol(id).empty(); });
  std::ranges::stable_sort(ids, std::ranges::greater(), [&](std::int32_t id) { return v.count(id); });
  ids.resize(std::min(ids.size(), count));
  return ids;
}

/// Rows of the embeddings in f64, each of length 1.
Tensor directions(const Tensor& table, std::span<const std::int32_t> ids) {
  std::vector<Tensor> rows;
  for (const std::int32_t id : ids) {
    const Tensor row = table[id].to(Dtype::f64);
    const double length = std::sqrt(sum(row * row).item());
    rows.push_back(length > 0 ? row / length : row);
  }
  return stack(rows);
}

std::string token_name(const Vocabulary& v, std::int32_t id) {
  const std::string& symbol = v.symbol(id);
  return symbol == " " ? "space" : symbol;
}

/// For some tokens, those whose vectors point in the most similar direction, with the cosine.
std::string nearest_tokens(const Vocabulary& v, const Tensor& table) {
  constexpr std::size_t compared = 4000, shown = 16, near = 6;
  const std::vector<std::int32_t> ids = frequent(v, compared);
  if (ids.size() < 2) return {};
  const Tensor rows = directions(table, ids);
  std::string out =
      "<h3>Nearest in the embedding</h3><p class=\"soft\">By the cosine, among the tokens seen most "
      "often.</p>"
      "<div class=\"scroll\"><table><tbody>\n";
  const std::size_t among = std::min<std::size_t>(ids.size(), v.unit() == Unit::word ? 320 : 160);
  for (std::size_t i = 0; i < std::min(shown, among); ++i) {
    const std::size_t at = i * among / std::min(shown, among);
    const Tensor cosines = matmul(rows, rows[static_cast<std::int64_t>(at)]);
    std::vector<std::size_t> order(ids.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::erase(order, at);
    const auto cosine = [&](std::size_t k) { return cosines.at(static_cast<std::int64_t>(k)); };
    const std::size_t count = std::min(near, order.size());
    std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(count),
                              std::ranges::greater(), cosine);
    out += fmt::format("<tr><td><b>{}</b></td><td class=\"text\">", html(token_name(v, ids[at])));
    for (std::size_t k = 0; k < count; ++k)
      out += fmt::format("{}{} <span class=\"soft\">{:.2f}</span>", k == 0 ? "" : " &nbsp; ",
                         html(token_name(v, ids[order[k]])), cosine(order[k]));
    out += "</td></tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

/// The two directions in which the vectors differ most (their principal components).
std::string embedding_picture(const Vocabulary& v, const Tensor& table) {
  const std::vector<std::int32_t> ids = frequent(v, 160);
  if (ids.size() < 3 || table.dim(1) < 2) return {};
  Tensor rows = directions(table, ids);
  rows = rows - mean(rows, 0);
  const Tensor axes = svd(rows).vt;  // (rank, width)
  const Tensor x = matmul(rows, axes[0]), y = matmul(rows, axes[1]);
  std::vector<std::string> names;
  Points places;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    names.push_back(token_name(v, ids[i]));
    places.emplace_back(x.at(static_cast<std::int64_t>(i)), y.at(static_cast<std::int64_t>(i)));
  }
  return "<h3>The embedding in two dimensions</h3>" +
         name_map("The two principal components of the most frequent tokens", names, places);
}

/// Texts that the model writes.
std::string samples(const TextModel& model, const ReportOptions& options, std::string& first) {
  std::string out = "<h3>Samples</h3>\n";
  const bool joined = model.vocabulary().unit() == Unit::word && !options.prompt.empty();
  for (std::int64_t i = 0; i < options.samples; ++i) {
    TextOptions how;
    how.max_tokens = model.vocabulary().unit() == Unit::word ? options.tokens : 3 * options.tokens;
    how.temperature = 0.8;
    how.seed = options.seed;
    how.stream = {};
    how.models::GenerateOptions::stream = static_cast<std::uint64_t>(i);
    const std::string text = model.generate(options.prompt, how);
    if (i == 0) first = options.prompt + (joined ? " " : "") + text;
    std::string shown;
    std::size_t from = 0;
    for (std::size_t end = 0; from < text.size(); from = end + 1) {
      end = std::min(text.find('\n', from), text.size());
      shown += html(std::string_view(text).substr(from, end - from)) + "\n";
    }
    out += fmt::format("<div class=\"sample\"><b>{}</b>{}{}</div>\n", html(options.prompt), joined ? " " : "",
                       shown);
  }
  return out + fmt::format("<p class=\"soft\">Temperature 0.8, seed {}.</p>\n", options.seed);
}

/// What the network looks at, or lets through, over a sentence.
std::string looks(const models::LoadedNetwork& model, const std::string& sentence) {
  const Vocabulary& v = model.vocabulary;
  std::vector<std::int32_t> ids = prompt_ids(v, sentence);
  constexpr std::size_t most = 28;
  ids.resize(std::min(ids.size(), most));
  const std::vector<models::NetworkView> all = model.network->views(ids);
  if (all.empty()) return {};
  std::vector<std::string> names;
  for (const std::int32_t id : ids) names.push_back(token_name(v, id));
  const bool gates = !all.front().gates.empty();
  std::string out = fmt::format(
      "<h3>{}</h3><p class=\"soft\">{}</p><div class=\"maps\">\n",
      gates ? "Gates over a sentence" : "Attention over a sentence",
      gates ? "The mean of each gate over the units of its layer, as each token is read."
            : "Each row is a token that looks at those before it and at itself; a row adds up to 1.");
  constexpr std::size_t most_maps = 48;
  for (std::size_t i = 0; i < std::min(all.size(), most_maps); ++i) {
    const models::NetworkView& view = all[i];
    const auto tokens = static_cast<std::size_t>(view.values.dim(1));
    const std::span<const std::string> columns = std::span(names).first(tokens);
    out +=
        heat_map(view.name, view.values, gates ? std::span<const std::string>(view.gates) : columns, columns);
  }
  if (all.size() > most_maps) out += fmt::format("<p>{} more are not shown.</p>", all.size() - most_maps);
  return out + "</div>\n";
}

std::string one_run(const ReportedRun& run, const ReportOptions& options) {
  std::string out = fmt::format("<section class=\"run\"><h2>{}</h2>\n", html(run.name)) + norms_by_part(run);
  if (run.model) {
    const Vocabulary& v = run.model->vocabulary;
    const models::ErasedNetwork& network = *run.model->network;
    models::TrainedModel trained{v, network.model(), std::string(network.kind().name), false,
                                 network.options().document_end};
    std::string first;
    out += samples(TextModel(std::move(trained)), options, first);
    out += nearest_tokens(v, network.embeddings()) + embedding_picture(v, network.embeddings());
    out += looks(*run.model, options.sentence.empty() ? first : options.sentence);
  } else {
    out += "<p>No model has been kept yet.</p>\n";
  }
  std::string config;
  std::size_t from = 0;
  for (std::size_t end = 0; from < run.config_text.size(); from = end + 1) {
    end = std::min(run.config_text.find('\n', from), run.config_text.size());
    config += html(std::string_view(run.config_text).substr(from, end - from)) + "\n";
  }
  return out +
         fmt::format("<details><summary>Configuration</summary><pre>{}</pre></details></section>\n", config);
}

}  // namespace

std::string report_page(const std::vector<ReportedRun>& runs, const ReportOptions& options) {
  const std::string title =
      runs.size() == 1 ? "Run " + runs.front().name : fmt::format("{} runs", runs.size());
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
      "<title>{0}</title><style>{1}</style></head>\n<body><h1>{0}</h1><p class=\"soft\">Written by gradus "
      "report on {2:%Y-%m-%d %H:%M}.</p>\n",
      html(title), style, fmt::localtime(std::time(nullptr)));
  out += summary(runs) + "<h2>Curves</h2>\n" + curves(runs);
  for (const ReportedRun& run : runs) out += one_run(run, options);
  return out + "</body></html>\n";
}

}  // namespace gradus::cli
