"""What single architectures need beside the general tiny sizes, by model type.

A key `type@role` counts for one role only. `DEL` leaves a field to the class's own default; a
dotted field lies in an inner configuration.
"""

from __future__ import annotations

from typing import Any

DEL = "DEL"


OVERRIDES: dict[str, dict[str, Any]] = {
    "aria": {"projector_patch_to_query_dict": {16: 4}},
    "axk1": {"head_dim": 8, "num_key_value_heads": 4},
    "axk2": {"head_dim": 8, "num_key_value_heads": 4},
    "bailing_hybrid": {"num_key_value_heads": 4},
    "bamba": {"attn_layer_indices": [0, 3, 5]},
    "big_bird": {"attention_type": "original_full"},
    "bigbird_pegasus": {"attention_type": "original_full"},
    "blip-2": {"image_token_index": 101},
    "chameleon": {"vocabulary_map": {"<image>": 100}},
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    },
    "convnext": {"image_size": 64},
    "convnextv2": {"image_size": 64},
    "cosmos3_edge": {
        "text_config.rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [4, 2, 2],
        }
    },
    "cosmos3_edge_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [4, 2, 2],
        }
    },
    "dbrx": {"attn_config.rope_theta": 10000.0, "attn_config.clip_qkv": 8.0},
    "deepseek_ocr2_text": {
        "mlp_layer_types": ["dense", "sparse", "sparse", "sparse", "sparse", "sparse"]
    },
    "deepseek_v2": {"head_dim": 8, "num_key_value_heads": 4},
    "deepseek_v3": {"head_dim": 8, "num_key_value_heads": 4},
    "deepseek_v32": {"head_dim": 8, "num_key_value_heads": 4},
    "diffusion_gemma_text": {
        "layer_types": [
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
        ]
    },
    "donut-swin": {
        "embed_dim": 48,
        "depths": [2, 2, 6, 2],
        "num_heads": [2, 2, 4, 4],
        "window_size": 4,
        "image_size": 64,
        "patch_size": 2,
    },
    "dots3_note_vision_encoder": {"num_hidden_layers": 42},
    "emu3": {"vocabulary_map": {"<|extra_200|>": 101, "<image>": 100, "<|image token|>": 102}},
    "ernie4_5_vl_moe_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [3, 3, 2],
        }
    },
    "esmc": {"num_key_value_heads": 4},
    "falcon_h1": {"mamba_d_ssm": 128, "mamba_n_heads": 8, "mamba_d_head": 16},
    "gemma3": {"mm_tokens_per_image": 4},
    "gemma3n_text": {
        "num_kv_shared_layers": 2,
        "layer_types": [
            "full_attention",
            "sliding_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
        ],
        "intermediate_size": 96,
        "activation_sparsity_pattern": [0.9, 0.9, 0.0, 0.0, 0.0, 0.0],
    },
    "gemma4_text": {
        "num_kv_shared_layers": 0,
        "layer_types": [
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
        ],
    },
    "gemma4_unified_text": {
        "num_kv_shared_layers": 0,
        "layer_types": [
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
        ],
    },
    "glm46v_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 3, 3],
        }
    },
    "glm4_moe_lite": {"head_dim": 8, "num_key_value_heads": 4},
    "glm4v_moe_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [2, 1, 1],
        }
    },
    "glm4v_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 3, 3],
        }
    },
    "glm5_next_text": {
        "num_key_value_heads": 4,
        "qk_rope_head_dim": 0,
        "head_dim": DEL,
        "layer_types": [
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
        ],
    },
    "glm_moe_dsa": {"head_dim": 8, "num_key_value_heads": 4},
    "glm_ocr_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 3, 3],
        }
    },
    "glmasr": {"audio_config.intermediate_size": 256},
    "gpt_neo": {"attention_types": [[["global", "local"], 3]], "window_size": 8},
    "granite4_vision": {
        "deepstack_layer_map": [[-1, 0], [-1, 3]],
        "downsample_rate": "4/8",
        "image_grid_pinpoints": [[64, 64]],
        "vision_config.image_size": 64,
    },
    "granitemoehybrid": {
        "layer_types": [
            "linear_attention",
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
            "full_attention",
        ]
    },
    "hrm_text": {"num_layers_per_stack": DEL},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "hunyuan_vl_text": {
        "head_dim": 16,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 2, 2, 2],
        },
    },
    "instructblip": {"image_token_index": 101},
    "instructblipvideo": {"video_token_index": 101, "num_query_tokens": 4},
    "jamba": {"attn_layer_period": 4, "attn_layer_offset": 2},
    "kimi_linear": {"num_key_value_heads": 4},
    "kosmos-2": {"latent_query_num": 8},
    "kosmos-2.5": {"latent_query_num": 8, "vision_config.patch_embed_hidden_size": 192},
    "led": {"attention_window": [4, 4, 4, 4, 4, 4]},
    "lfm2_moe": {
        "layer_types": ["conv", "conv", "full_attention", "conv", "full_attention", "conv"]
    },
    "llama4": {"vision_config.intermediate_size": 256},
    "llava_next": {"image_grid_pinpoints": [[32, 32]]},
    "llava_next_video": {"image_grid_pinpoints": [[32, 32]]},
    "llava_onevision": {"image_grid_pinpoints": [[32, 32]]},
    "longcat_flash": {"head_dim": 8, "num_key_value_heads": 4},
    "longformer": {"attention_window": [4, 4, 4, 4, 4, 4]},
    "mamba2": {"num_heads": 8, "head_dim": 16},
    "minicpm3": {"num_key_value_heads": 4},
    "minicpm_ocr": {"image_token_id": 101},
    "minicpmv4_6": {"image_token_id": 101},
    "minicpmv4_7": {"image_token_id": 101},
    "ministral": {"head_dim": 16},
    "mistral4": {
        "head_dim": 8,
        "qk_rope_head_dim": 8,
        "num_key_value_heads": 4,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "llama_4_scaling_beta": 0.1,
            "original_max_position_embeddings": 64,
        },
    },
    "mistral_large4_text": {"head_dim": 8, "num_key_value_heads": 4},
    "mllama": {
        "vision_config.intermediate_layers_indices": [0, 1],
        "vision_config.vision_output_dim": 192,
    },
    "mllama_text_model": {"cross_attention_layers": [0, 3, 5]},
    "mobilevit": {"image_size": 256},
    "mobilevitv2": {"image_size": 256},
    "molmo2_adapter": {"vision_feature_layer": [-1, -2]},
    "moonshine": {"encoder_num_key_value_heads": 4, "decoder_num_key_value_heads": 4},
    "nemotron": {"num_key_value_heads": 2},
    "nemotron_h": {
        "layers_block_type": [
            "linear_attention",
            "moe",
            "full_attention",
            "mlp",
            "linear_attention",
            "full_attention",
        ]
    },
    "nemotron_h_omni": {"vision_config.video_temporal_patch_size": 2},
    "neomme": {
        "layer_types": [
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
        ]
    },
    "olmo_hybrid": {
        "layer_types": [
            "linear_attention",
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
            "full_attention",
        ]
    },
    "paddleocr_vl_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 3, 3],
        }
    },
    "perceiver": {
        "num_latents": 16,
        "d_latents": 64,
        "num_self_attends_per_block": 6,
        "qk_channels": 64,
        "v_channels": 64,
    },
    "pix2struct": {"vision_config.patch_embed_hidden_size": 192},
    "pvt": {"depths": [2, 2, 6, 2]},
    "pvt_v2": {"depths": [2, 2, 6, 2]},
    "qwen2_5_omni_thinker": {"vision_start_token_id": 120},
    "qwen2_5_vl_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 3, 3],
        }
    },
    "qwen2_vl_text": {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 3, 3],
        }
    },
    "qwen3_5_moe_text": {
        "layer_types": [
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
        ]
    },
    "qwen3_5_text": {
        "layer_types": [
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
        ]
    },
    "qwen3_next": {
        "layer_types": [
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
            "full_attention",
            "linear_attention",
        ]
    },
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 120},
    "qwen4_exp_text": {
        "layer_types": [
            "linear_attention",
            "indexed_attention",
            "linear_attention",
            "indexed_attention",
            "linear_attention",
            "indexed_attention",
        ],
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 8,
        "indexer_compress_ratio": 4,
    },
    "reformer": {
        "is_decoder": True,
        "attn_layers": ["local", "local", "local", "local", "local", "local"],
        "axial_pos_shape": [8, 16],
        "axial_pos_embds_dim": [32, 32],
        "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4,
        "lsh_num_chunks_before": 0,
        "num_hashes": 1,
    },
    "reformer@mlm": {"is_decoder": False},
    "shieldgemma2": {"mm_tokens_per_image": 4},
    "step3p7": {"text_config.sliding_window": 8},
    "step3p7_text": {
        "layer_types": [
            "full_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
        ]
    },
    "swin": {
        "embed_dim": 48,
        "depths": [2, 2, 6, 2],
        "num_heads": [2, 2, 4, 4],
        "window_size": 4,
        "image_size": 64,
        "patch_size": 2,
    },
    "swinv2": {
        "embed_dim": 48,
        "depths": [2, 2, 6, 2],
        "num_heads": [2, 2, 4, 4],
        "window_size": 4,
        "image_size": 64,
        "patch_size": 2,
    },
    "t5gemma2_encoder": {"mm_tokens_per_image": 4},
    "vipllava": {"vision_feature_layers": [-1, -2]},
    "voxtral": {"audio_config.intermediate_size": 256, "audio_token_id": 133},
    "xlstm": {"qk_dim_factor": 1.0, "v_dim_factor": 1.0, "mlstm_round_up_to_multiple_of": 16},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "youtu": {"head_dim": 8, "num_key_value_heads": 4},
    "zamba": {
        "layers_block_type": ["mamba", "mamba", "hybrid", "mamba", "hybrid", "mamba"],
        "attention_hidden_size": 128,
        "attention_head_dim": 32,
    },
    "zamba2": {
        "layer_types": ["mamba", "hybrid", "mamba", "mamba", "hybrid", "mamba"],
        "mamba_headdim": 16,
        "n_mamba_heads": 8,
        "mamba_ngroups": 1,
        "attention_head_dim": 32,
        "attention_hidden_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "hybrid_layer_ids": [1, 4],
    },
    "zaya": {"num_experts_per_tok": 1},
}
