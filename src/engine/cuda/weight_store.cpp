#include "engine/cuda/weight_store.hpp"

#include <utility>

#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/kernels/stem.hpp"
#include "engine/cuda/kernels/tma_conv.hpp"

namespace gantry::cuda {

namespace {

template <typename T>
DeviceBuffer upload(const std::vector<T>& values) {
  DeviceBuffer buffer(values.size() * sizeof(T));
  check(cudaMemcpy(buffer.data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), "weight upload");
  return buffer;
}

std::string key_of(const char* kind, const graph::Weights* layer) {
  return std::string(kind) + " " + std::to_string(reinterpret_cast<std::uintptr_t>(layer));
}

std::vector<float> padded(std::vector<float> values, int multiple) {
  values.resize(static_cast<std::size_t>(round_up(static_cast<int>(values.size()), multiple)), 0.0F);
  return values;
}

}  // namespace

template <typename Make>
const WeightStore::Entry& WeightStore::entry(const std::string& key, Make&& make) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  return found != entries_.end() ? found->second : entries_.emplace(key, make()).first->second;
}

WeightStore::Joined WeightStore::join(const Layers& layers) {
  Joined all;
  for (const auto& layer : layers) {
    all.values.insert(all.values.end(), layer->values.begin(), layer->values.end());
    all.bias.insert(all.bias.end(), layer->bias.begin(), layer->bias.end());
  }
  return all;
}

PackedWeights WeightStore::conv(const Layers& layers, int bn, int group, bool warpgroup) {
  std::string key = std::to_string(bn) + " " + std::to_string(group) + (warpgroup ? "w" : "m");
  for (const auto& layer : layers) key += key_of("", layer.get());
  const Entry& e = entry(key, [&] {
    Joined all = join(layers);
    const graph::Weights& first = *layers.front();
    return Entry{upload(pack_conv_weights(all.values.data(), static_cast<int>(all.bias.size()),
                                          first.kernel_h * first.kernel_w, first.in, bn, group, warpgroup)),
                 upload(padded(std::move(all.bias), bn))};
  });
  return {e.weights.as<__half>(), e.bias.as<float>()};
}

PackedWeights WeightStore::tma_conv(const Layers& layers, int bn, int ck) {
  std::string key = "tma " + std::to_string(bn) + " " + std::to_string(ck);
  for (const auto& layer : layers) key += key_of("", layer.get());
  const Entry& e = entry(key, [&] {
    Joined all = join(layers);
    const graph::Weights& first = *layers.front();
    return Entry{upload(pack_tma_weights(all.values.data(), static_cast<int>(all.bias.size()), first.kernel_h, first.in,
                                         bn, ck)),
                 upload(padded(std::move(all.bias), bn))};
  });
  return {e.weights.as<__half>(), e.bias.as<float>()};
}

PackedWeights WeightStore::stem(const graph::Weights& layer) {
  const Entry& e = entry(key_of("stem", &layer), [&] {
    return Entry{upload(pack_stem_weights(layer.values.data(), layer.out)), upload(padded(layer.bias, 64))};
  });
  return {e.weights.as<__half>(), e.bias.as<float>()};
}

PackedWeights WeightStore::depthwise(const graph::Weights& layer) {
  const Entry& e = entry(key_of("depthwise", &layer), [&] {
    const int wide = round_up(layer.out, 32);
    std::vector<__half> taps(static_cast<std::size_t>(9) * wide, __half(0.0F));
    for (int c = 0; c < layer.out; ++c)
      for (int tap = 0; tap < 9; ++tap)
        taps[static_cast<std::size_t>(tap * wide + c)] =
            __float2half(layer.values[static_cast<std::size_t>(c * 9 + tap)]);
    return Entry{upload(taps), upload(padded(layer.bias, 32))};
  });
  return {e.weights.as<__half>(), e.bias.as<float>()};
}

FloatWeights WeightStore::plain(const graph::Weights& layer, bool depthwise) {
  const Entry& e = entry(key_of(depthwise ? "plain depthwise" : "plain", &layer), [&] {
    std::vector<float> values = layer.values;
    const int taps = layer.kernel_h * layer.kernel_w;
    if (depthwise)
      for (int c = 0; c < layer.out; ++c)
        for (int tap = 0; tap < taps; ++tap)
          values[static_cast<std::size_t>(tap * layer.out + c)] =
              layer.values[static_cast<std::size_t>(c * taps + tap)];
    return Entry{upload(values), upload(layer.bias)};
  });
  return {e.weights.as<float>(), e.bias.as<float>()};
}

std::size_t WeightStore::bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& [key, e] : entries_) sum += e.weights.bytes() + e.bias.bytes();
  return sum;
}

}  // namespace gantry::cuda
