"""What brokers of four versions answered when they were asked for their facts, in a topology with a bit of everything.

Queues `tasks` (classic, at most 50, dead-letters to `dead`; 55 were published), `dead` (at most 2, refuses more), `q` (quorum, dead-letters
to `dead`; from 3.10 on at least once, after 10 ms), `q2` (quorum), `s` (stream, from 3.10 on), and one with an unusual name. Exchange `x` with a
binding to `tasks`, one to exchange `y`, which is its alternate too. The client chaos-1f2e3d-0/worker-1.1 consumes from `tasks` and `q2` with a
prefetch of 3, and one without a name from `tasks` with 2. A policy on 3.10.8 and an operator policy on 4.3.6 allow `tasks` 20 messages. From 3.10 on,
17 messages were acknowledged. The identities of queues, and what was received, routed and sent with automatic acknowledgements, are made up.
"""

ANSWERS = {
    "3.8.9": (
        '["g1AAAAY1eJy9VMuOmzAUhRCSoR11MR1V6i7q7CqZDsx0Is2i6ldUqlRpZMA8DLETY2ryG/2BrrruD8xufqavRT+hNmamkJQkqwoJw73n2udc'
        "ziV1CsMw7NRZyGUcIRiJUwaDIOM3YQHLMgtvVhWqkBhzViGFHaWWwh7XYAFrUCCS8FQ4ZZYQFGWEwzb/qAb0I2JxQYWYFpQkJWcq/oQhjEIOll"
        "VQZGWKsRgTSpC+p1M4goa6xJFm8TYVU1YRkpFEUwgMw/qm6Zor8bTluqooqxabVK0Hqk0C8PUS9chMdJ2GPauB0i8lcY4YQHWYQpL0CwwNfd6H"
        "MlpxSRDkaN1DN/3cUmgPK5xWJCdUECXyuxY5Wvl7VJoHqtwiMoaWJGLuI/JDE7E5LPNynzusPe7w/2+vQdPt0U43/dT6TgR6kbHow+zultx9nf"
        "3+/OnLLrFbRxkHGPcXVj1y2gmBi5UbZUxOg5i0q1ORCMWZbFYHE0MiRYtJu25ijMFqsxY2p8ssbF7WOniittQc5QNnMEQtaqveUdAF5KHUksr2"
        "IlZuYR4rzH1yENXspA8ZOMtc/0Mg1j8cW4vpuNBuvoQKWNB92TGeFUAmxgGlhe56G40p7bqwHRmTSzYwKLpjZMIeEOPu6ZLk0b1Xm31z9wxrko"
        "1VZYaWwIt9dBGB81eCslxa1nM9lT3z5r7rzd1z17u+vLy68Gfgzewh5l+/vpr7WEsZ/ZV6aKWukX+L3UQ2tx5Gal1m2hmeID9+9x5j/AfgCeAp"
        '"]'
    ),
    "3.10.8": (
        '["g1AAAAydeJzVVduO0zAQTe9b2EUClpuE0IrlIkAptAss4gHxEwgJIUWTxG2SJnYbO7j9AT6AH4AXnvkB3vgZrhKfwDjOtmmbbBfEIqFKdes5'
        "Mz5zZsb22qFhGE2vHeFSdwm4cjsG2/aF5YTAue9Y44QkRNZFnBCFrXo1hd2cmBFMzJDQgfBkm/sDSlyfCsjsJyYme0XifsikbIWMDriI1f6pmA"
        "TEEeYosUOfe0Eg65RRor+9FlTBUB+5oVk89WQrTij16UBTsA2j9lnTrYzl2YzrOGFxEi1Tbc6opgZTTEdkgUxT+2nY+Ymp8seUhCCxSSaOB3Sw"
        "6GBo6KVFaMwSgQTNIZkuoFM9f0uOQiYIBUEGi7G3QKAduDAZdYj228KaEM5hgKmKMF+UEys6K5UbxTq3EjqkTFIl9RctdXXcW6N15YharxCpQw"
        "2pVNYR+ZrVnM94YFwCf8BD+xUKsq7xvmkSDQF8yNcNSm3NoPSOte0CPavVtPnmBGBbb53MNYptVF6/C9Iyj7ozPbZVe0D1UD2+az3OSHLVj92X"
        "O58+0k8fdn6+ffP+MHH+SPofaUJtLUQbonFHsJHvyIZe2gl1Sd9HaTWiMsks6Z9pNoTKrQ8UdZPNbF12TDGuH+NQyma2LmPOKIzmqnjE4JAyHi"
        "cV1MN6kJjL1sGPFbbTUj5GKYtUhAiE4xUFzurf0GLkuraRVkJt1KBzO9eoNRtiWbcZC7Xq2W6fsXzXZvNVEZgx2GF+5iqwAAyC/OmY4sZBb6dx"
        "h53dQJNMWxstjJvdfo/suea9u5LFQ2zxbqerrLvd/V6nu9+51+k+vr/3aP/hjvlkZ7a39/jBw/1eoFOpzlM9PK5G4sV2FNg84JGpVLzc7KiNhl"
        "crmYpNEFbEuLDUVZ6lIa9lE8otNc6WnnniWmQy8tUqmIAQDETuliBx6nHoM+AVBF4vAeo3aB4zKGW64fpcVd09JpbGb7IsfJPwabTSp3GmZx3D"
        "3igJ6zDa9+NogeudEqxLQh9f8akV+hGeOnc4mgyNv5HdSrPUj4/wv63bQnP9d1kFq1NvDzefb61uw+niC6KFGxdmx+GdTzDLgwNeoPHc3IhPxc"
        'z0DE0XczRTcWbWy2i9VWDFvudJRCxIBLPAGZa0/zI8AppAuORwvcBhQERR7Jsl0NW4QfALaAswyQ=="]'
    ),
    "4.0.5": (
        '["g1AAAAzkeJzVVttu00AQzcVOmrYgtdwlHiLKRYAcmtBS0QfET8ADQrLW9saX2LuJd80mv8EP8MQzP8Bbf4arxCcw63VSJ46btBIgVKlJd87M'
        "nDmzM1uvFVYqlYbXiuBDczByxNUYWZbPTTtEjPm2OUpwgoXG4wRLbN2rS+z22IjQ2AgxcbknWsx3CXZ8wlFN2TfHBn2H435IhWiGlLiMx/L8co"
        "wDbHNjmFihz7xZsDSLwSdDPAdvZiyCQGiEEqx+e01UQxX5IzYU25eeaMYJIT5xFVULmH5RZVVH4kpW0yihcRItltRYxaKh/BTs+tiQOkHpnOPY"
        "wGPbQ8Sdd6go6K15aEwTDgSNAZ7MoVPdLyDbAhOAIo7d+diXEAc7YtygxMbK7xL0DjOGXCiVh/nmbRZ0lirrK3T+qnSujXorhK6uKXSBhYbqwK"
        "N6JotvWbfZjAQExegCJJTfUilWXbnvioTOERuwVaOk/YULVTqnvQuPniEvBKqdqcMPpcOuwHf82HnbPvlMTj61f314/3GVKCvbU8prnf78DGSO"
        "lsqxhaJRxwOpcMxEc/qllRAH932QSaFaEsXp0LeFrj4WERXRcPwYxrNgqY4zn/SPSTbjMmDmUOo4EY0+ItDf5XwixG2vnPOuxCgZJPkY2biMfM"
        "omS1VMmcpV83RVTO5q62l35EEddR7lHoa6hWKhWZSGSvXstE9p/vZlXa5yoIWsMN/5KpoDBkE+O+iyMR2QNO6gsxcokul8gIUyo9vv4aeOsf9E"
        "0HgAc9LtdKV1r3vU63SPOvud7vHh88ODXtt40Z6dHRwfPjvqBaqUWrbQzg6qYEqRdRMs+pRHD5QouUGTB7pXLxmhbcTNiDJuyk2flSH2sk3PTL"
        "kTTLU4sGPCUoCdYHLKUYh0AN4tAeLx0JefClkB5L0SpHqiTqFBKdMNx2ey6865WFb+GMulrxa8nGb6cs701NYmoJ+DAEAfl0AdHPrw38DEDP0I"
        "6J063C9xsCnp+3G0RnWFy6L92zacW4XSyuYu139XVVCcemuw/XpQPEY7yxdEEw5uzJLC64Ihz5TRGzBeOzXCsp+ZXoHpZo5sSm9mvQ3Wh0uscO"
        'NYEmETJZyayB6UVL4IjxBJUJhz2FlQdergYr4YewugD0qghbig6G9EmEkG"]'
    ),
    "4.3.6": (
        '["g1AAAA14eJzVVttu00AQzT1NL0BLy0XiISJcBMihSWkr9QHxE/CAkKyxvfEltjfxrrvJb/ADPPHMD/DWn+Eq8QmMvc7FSZyklQChSLGzc2b3'
        "zJmZnVg1N5fLVayah4+SQcAQ+wFoms1V3QXGbF3thyQkosSDkETYolWMsNsDxYOB4hLf5JaoMdv0iWH7HArSvjlQ6DkJOi4VoupS32Q8iNavBc"
        "QhOld6oebazBpvFp+i8GGPpODVhIXjiJJPfSK/rSoUIBd9xIZk+8oS1SD0fds3JVUNmX6RYeX74mYSUz+kQejNhlRZxaIi/STs1kCJdMLQOSeB"
        "Qga6Bb6ZdshJ6N00NKAhR4JKlwxT6Fj3K8g2wwShwImZ3nsHONqBcYX6OpF+O5g7whiYGCp3p5O3OadzpHJ5hc5fpc6FfnuF0Pk1hZ5jUYIi8s"
        "gvZfEtyTYbk8BNCVyBhPRbKMWqkvsuSZQ5sC5b1Uqlv1BQmX3aXrv1pGiFuDwne8F+ok+cetpDga5HlQKFpQL9kALtCXLfDox39YvP/sWn+q8P"
        "7z+uUmtl3jLvinUS9zMOc1OekRMVww6w30Qt9A3SsVGzpD/B6zcT21JMB3xMjqgkz1nMVoSxMEskYKI6eplF1SKUB1y3sjE3IowMDF9caooypz"
        "1bnwPupYB4V+gkCxqfK00ZiPwgscQ/hsnicEG8sa4Fqyy9ppqjHKcxWihC8+nUaClqEIiSRqkr05Osdiidrt+kHPIciYDmTpdIHlJAx5k+HUlu"
        "jFos3rfbbDiSZNxhaKFMaXXa5MhQDp8LGnSx01rNVmRttE7bzdZp87DZOjs6OTx5UVde1sdrx2fHJ6dtR4ZSmIS6fN9Z5DpnSB+8cJdvPWrdSe"
        "Un4y6j17aBqx5lXI1mRRKGaCSzgqnRraLKq4cYKl4FeBOonHJwoYHABxlAMujZ0VMic4h8mIGUQ24CdTKZbhg2i7JuXIpl7o+xXDj3cPaq8ewd"
        "61lam0D5EgQQ+iwDahDXxv8TQ9W1PaQ3cXiU4aBTv2MH3hrRzRVL6d+m4dIqZEaWKq7/MaqDJKpz6gK3XbIorvzacTnO/D2idbffePPLsLv4yq"
        "niwu3xYTg1CTIfxfgWjQcTI46Psek1mu5MkYwDHlvvofXJAivWMAs9okLIqQp6N0PLWbgHfgjulMPuTJ5GDibhs3tvIfRxBnRuX1T0N54HecQ="
        '"]'
    ),
}
